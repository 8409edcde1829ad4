//! Asks for metrics, and reads the answer.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use testbed::Netns;

/// Where the daemons of these cases listen.
pub const ADDRESS: &str = "127.0.0.1:9473";
/// Longest silence of the server.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// Status line and header fields.
    pub head: String,
    /// What follows.
    pub body: String,
}

/// A connection to the server.
pub fn connect(ns: &Netns, server: &str) -> io::Result<TcpStream> {
    let address: SocketAddr = server.parse().expect("an address");
    let stream = ns.run_in(|| TcpStream::connect(address))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends a request, and reads all that the server says.
pub fn request(ns: &Netns, server: &str, request: &str) -> io::Result<Answer> {
    let mut stream = connect(ns, server)?;
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Ok(Answer { head: head.to_owned(), body: body.to_owned() })
}

/// Asks for a path; in HTTP 1.0 an answer comes in one piece.
pub fn get(ns: &Netns, server: &str, path: &str) -> io::Result<Answer> {
    request(ns, server, &format!("GET {path} HTTP/1.0\r\n\r\n"))
}

/// What a scraper gets that asks for nothing in particular.
#[track_caller]
pub fn metrics(ns: &Netns) -> String {
    let answer = get(ns, ADDRESS, "/metrics").expect("an answer");
    assert!(answer.head.contains(" 200 "), "{answer:?}");
    answer.body
}

/// The samples of a scrape, by name and labels as they are written: `xgre_tunnels{state="up"}`.
pub struct Samples(pub BTreeMap<String, String>);

impl Samples {
    #[track_caller]
    pub fn of(ns: &Netns) -> Self {
        let text = metrics(ns);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name.to_owned(), value.to_owned())
        };
        Self(samples.map(sample).collect())
    }

    /// One sample; zero where there is none.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |value| number(value))
    }

    /// The sum of all samples of a metric.
    pub fn sum(&self, metric: &str) -> u64 {
        let of_metric = |name: &&String| {
            name.strip_prefix(metric).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        };
        self.0.iter().filter(|(name, _)| of_metric(name)).map(|(_, value)| number(value)).sum()
    }

    /// The labels `label` of a metric.
    pub fn values_of(&self, metric: &str, label: &str) -> Vec<String> {
        let value = |name: &String| {
            let labels = name.strip_prefix(metric)?.strip_prefix('{')?;
            let value = labels.split_once(&format!("{label}=\""))?.1;
            Some(value.split('"').next()?.to_owned())
        };
        self.0.keys().filter_map(value).collect()
    }
}

#[track_caller]
fn number(value: &str) -> u64 {
    value.parse().unwrap_or_else(|error| panic!("{value}: {error}"))
}
