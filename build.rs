//! Link arguments of a Node addon; on glibc also `-z nodelete`, without which
//! ending a worker unmaps the library under libuv's pending close callbacks.

fn main() {
    napi_build::setup();
}
