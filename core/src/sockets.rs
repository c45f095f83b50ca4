//! Sockets of this process that send at once.
//!
//! - A worker of package parallel writes its answer in several small pieces. TCP holds back the last one until the other side has acknowledged those before,
//!   which that side puts off for 40 ms: more than most pieces of work take.
//! - The worker's connection is R's own. Which descriptor it has R does not say, so all TCP sockets of the process are told.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::net::{SocketType, sockopt};

/// Tells every TCP socket of this process not to wait until it can send more. How many there are.
pub fn send_at_once() -> usize {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return 0 };
    let numbers = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|fd| tell(*fd).is_ok()).count()
}

fn tell(fd: RawFd) -> rustix::io::Result<()> {
    // SAFETY: it was open when it was listed; if it is not any more, or another by now, the calls fail, or ask another socket to send at once.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    if sockopt::socket_type(fd)? != SocketType::STREAM {
        return Err(rustix::io::Errno::NOTSUP);
    }
    sockopt::set_tcp_nodelay(fd, true)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn sockets_of_tcp_are_told_and_nothing_else_is_disturbed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(!client.nodelay().unwrap());
        assert!(super::send_at_once() >= 2);
        assert!(client.nodelay().unwrap());
        other.send_to(b"x", other.local_addr().unwrap()).unwrap();
    }
}
