//! A proxy as firms have them: `CONNECT name:port`, and what passes then. It leads every name to one
//! port of this machine, and writes down the names.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub(crate) struct Proxy {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let names = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let names = Arc::clone(&names);
                std::thread::spawn(move || pass(stream, target, &names));
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

fn pass(stream: TcpStream, target: u16, names: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut words = first.split(' ');
    assert_eq!(words.next(), Some("CONNECT"), "{first}");
    names.lock().unwrap().push(words.next().unwrap().to_owned());
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
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
