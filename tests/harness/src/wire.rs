//! One question in Kafka's own protocol: is the broker up? Asked by hand so that the harness needs no client library.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Metadata, version 4, about no topics: the first version whose empty list means none.
const METADATA_REQUEST: [u8; 20] = [
    0, 0, 0, 16, // length of what follows
    0, 3, 0, 4, // api key, version
    0, 0, 0, 7, // correlation id
    0, 1, b'h', // client id
    0, 0, 0, 0, // topics: none
    0, // no automatic creation
];
/// Far above an answer that lists one broker.
const ANSWER_LIMIT_BYTES: usize = 1 << 16;

/// Number of live brokers that the broker at `address` knows; a broker counts itself once it serves requests.
///
/// # Errors
/// Nobody listens there, or the answer is not Kafka's, within `timeout` per step.
pub(crate) fn live_brokers(address: SocketAddr, timeout: Duration) -> io::Result<u32> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(&METADATA_REQUEST)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if !(12..=ANSWER_LIMIT_BYTES).contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("answer of {length} bytes")));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    // correlation id, throttle time, then the array of brokers.
    Ok(u32::from_be_bytes([answer[8], answer[9], answer[10], answer[11]]))
}
