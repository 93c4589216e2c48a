import { type Socket, constants } from 'm-socket'

/** SOF_TIMESTAMPING_TX_SOFTWARE, SOF_TIMESTAMPING_SOFTWARE, SOF_TIMESTAMPING_OPT_TSONLY; linux/net_tstamp.h. */
const OF_WHAT_IS_SENT = 2 | 16 | 2048
const SO_TIMESTAMPING = 37

/**
 * Has the kernel keep a time stamp of all that is sent from now on, in the socket's error queue. Nothing reads them, so
 * poll(2) reports ERR of a connection that is not broken.
 */
export function keepTimeStamps(socket: Socket): void {
  socket.setsockopt(constants.SOL_SOCKET, SO_TIMESTAMPING, OF_WHAT_IS_SENT)
}
