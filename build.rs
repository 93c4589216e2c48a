//! Link arguments of a Node addon. With glibc, one of them is `-z nodelete`: without it, a worker that ends unmaps the
//! library before libuv calls its close callbacks.

fn main() {
    napi_build::setup();
}
