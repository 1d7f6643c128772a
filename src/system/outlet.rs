//! Where metrics go: to stdout, where CloudWatch Logs finds them, or to a statsd. Never waits for either.

use super::counter::onward;
use super::passage::Passage;
use crate::config::Metrics;
use crate::sink::Sink;
use crate::status::{Meter, Report};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::SystemTime;

/// Where they go, and what was told there before.
#[derive(Debug)]
pub struct Outlet {
    meter: Meter,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Stdout { sink: Sink, service: Option<String> },
    Statsd(UdpSocket),
}

impl Outlet {
    /// Opens it. `address` is where the statsd is that `metrics` names.
    ///
    /// # Errors
    /// There is no socket to be had.
    pub fn open(metrics: &Metrics, address: Option<SocketAddr>) -> io::Result<Self> {
        let way = match (metrics, address) {
            (Metrics::Emf { service, .. }, _) => {
                Way::Stdout { sink: Sink::stdout(), service: service.clone() }
            }
            (Metrics::Statsd(_), Some(address)) => {
                let socket = onward(address)?;
                socket.set_nonblocking(true)?;
                Way::Statsd(socket)
            }
            (Metrics::Statsd(_), None) => return Err(io::ErrorKind::AddrNotAvailable.into()),
        };
        Ok(Self { meter: Meter::default(), way })
    }

    /// Tells the figures. Where the child's stdout passes through ostler, lines go the same way, one behind the other.
    /// Of what does not get through the next one tells.
    pub(super) fn publish(&mut self, report: &Report, passage: Option<&mut Passage>) {
        let told = match &self.way {
            Way::Stdout { sink, service } => {
                let line = self.meter.emf(report, service.as_deref(), since_1970());
                match passage {
                    Some(passage) => passage.pass_a_line(line.as_bytes()),
                    None => sink.write(line.as_bytes()).is_ok(),
                }
            }
            Way::Statsd(socket) => {
                // The first error may be what came of the last one (ECONNREFUSED, udp(7)).
                let send = |datagram: &String| {
                    socket.send(datagram.as_bytes()).is_ok() || socket.send(datagram.as_bytes()).is_ok()
                };
                let arrived: Vec<_> = self.meter.statsd(report).iter().map(send).collect();
                arrived.first() == Some(&true)
            }
        };
        if told {
            self.meter.was_told(report);
        }
    }
}

/// In milliseconds.
fn since_1970() -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
