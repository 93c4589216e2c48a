// A relay by io.Copy, which uses splice(2) between TCP sockets: `relay PORT` relays each connection to 127.0.0.1:PORT.
// Prints `port N`, and ends at the end of stdin.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Println("relay PORT")
		os.Exit(2)
	}
	backend := "127.0.0.1:" + os.Args[1]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("port %d\n", listener.Addr().(*net.TCPAddr).Port)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			go relay(client.(*net.TCPConn), backend)
		}
	}()
	io.Copy(io.Discard, os.Stdin)
}

func relay(client *net.TCPConn, backend string) {
	defer client.Close()
	dialed, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	server := dialed.(*net.TCPConn)
	defer server.Close()
	done := make(chan struct{})
	go func() {
		io.Copy(server, client)
		server.CloseWrite()
		close(done)
	}()
	io.Copy(client, server)
	client.CloseWrite()
	<-done
}
