//! A proxy as firms have them: `CONNECT name:port`, and what passes then. It leads names to
//! ports of this machine, and writes down who was asked for.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub(crate) struct Proxy {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Every name leads there.
    pub(crate) fn to(target: u16) -> Self {
        Self::by(move |_| Some(target))
    }

    /// Each name leads to its port, and any other one nowhere.
    pub(crate) fn routing<'a>(routes: impl IntoIterator<Item = (&'a str, u16)>) -> Self {
        let routes: Vec<(String, u16)> =
            routes.into_iter().map(|(name, port)| (format!("{name}:443"), port)).collect();
        Self::by(move |asked| routes.iter().find(|(name, _)| name == asked).map(|(_, port)| *port))
    }

    fn by(route: impl Fn(&str) -> Option<u16> + Send + Sync + 'static) -> Self {
        let route = Arc::new(route);
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let names = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (names, route) = (Arc::clone(&names), Arc::clone(&route));
                std::thread::spawn(move || pass(stream, &*route, &names));
            }
        });
        Self { port, asked }
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn pass(stream: TcpStream, route: &dyn Fn(&str) -> Option<u16>, names: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut words = first.split(' ');
    assert_eq!(words.next(), Some("CONNECT"), "{first}");
    let name = words.next().unwrap().to_owned();
    let target = route(&name);
    names.lock().unwrap().push(name);
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    let Some(target) = target else { return };
    let inside = TcpStream::connect(("127.0.0.1", target)).unwrap();
    let (mut out, mut back) = (stream.try_clone().unwrap(), inside.try_clone().unwrap());
    out.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let there = std::thread::spawn(move || {
        let mut inside = inside;
        let _closed = std::io::copy(&mut reader, &mut inside);
        let _gone = inside.shutdown(std::net::Shutdown::Write);
    });
    let _closed = std::io::copy(&mut back, &mut out);
    let _gone = out.shutdown(std::net::Shutdown::Both);
    there.join().unwrap();
}
