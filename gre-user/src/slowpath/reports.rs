//! Takes what was received to the daemon: few at a time, and not often, for each costs it a look at all tunnels.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::icmp::TooBig;

/// Room for reports not taken yet.
const ROOM: usize = 64;
/// How often they are taken at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// The end of the thread.
pub struct Sender(mpsc::Sender<TooBig>);

/// The end of the daemon.
pub struct Reports {
    receiver: mpsc::Receiver<TooBig>,
    waiting: Vec<TooBig>,
    not_before: Instant,
}

/// Both ends.
pub fn channel() -> (Sender, Reports) {
    let (sender, receiver) = mpsc::channel(ROOM);
    let reports = Reports { receiver, waiting: Vec::new(), not_before: Instant::now() };
    (Sender(sender), reports)
}

impl Sender {
    /// Sends a report, if there is one. Where there is no room it is lost; routers repeat themselves.
    pub fn send(&self, report: Option<TooBig>) {
        if let Some(report) = report {
            let _ = self.0.try_send(report);
        }
    }
}

impl Reports {
    /// Waits for reports. Can be cancelled without losing one.
    pub async fn next(&mut self) -> Vec<TooBig> {
        if self.waiting.is_empty() {
            let Some(report) = self.receiver.recv().await else {
                return std::future::pending().await;
            };
            self.waiting.push(report);
        }
        sleep_until(self.not_before).await;
        while let Ok(report) = self.receiver.try_recv() {
            self.waiting.push(report);
        }
        self.not_before = Instant::now() + INTERVAL;
        std::mem::take(&mut self.waiting)
    }
}
