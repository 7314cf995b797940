//! What the program refuses before it puts load on anything, and what it prints.

#![expect(clippy::unwrap_used, reason = "in a test, what is not there is a failure")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Output},
    thread,
};

fn load(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rjabberd-load")).args(arguments).output().unwrap()
}

#[track_caller]
fn refused(arguments: &[&str], because: &str) {
    let output = load(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(because), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn load_on_other_machines_must_be_asked_for() {
    refused(&["login", "--target", "192.0.2.1:5222", "--domain", "x"], "--allow-remote");
}

#[test]
fn tls_needs_to_know_what_to_trust() {
    let base = ["login", "--target", "127.0.0.1:1", "--domain", "localhost", "--tls", "direct"];
    refused(&base, "--insecure");
    refused(&[&base[..], &["--ca", "/nowhere.pem"]].concat(), "/nowhere.pem");
}

#[test]
fn what_makes_no_sense_is_told() {
    let base = ["--target", "127.0.0.1:1", "--domain", "localhost"];
    refused(&[&["chat"], &base[..], &["--sessions", "1"]].concat(), "two sessions");
    refused(&[&["rate"], &base[..], &["--rate", "0"]].concat(), "--rate");
    refused(&[&["rate"], &base[..], &["--messages", "5"]].concat(), "--seconds");
    refused(&[&["presence"], &base[..], &["--sessions", "50"]].concat(), "more sessions than contacts");
    refused(&[&["presence"], &base[..], &["--contacts", "3"]].concat(), "even");
    refused(&[&["presence"], &base[..], &["--senders", "101"]].concat(), "--senders");
    refused(&[&["contacts"], &base[..], &["--layout", "halves", "--contacts", "51"]].concat(), "twice");
    refused(&[&["login"], &base[..], &["--server-pid", "4294967295"]].concat(), "no process");
    refused(&[&["login"], &base[..], &["--mechanism", "GSSAPI"]].concat(), "SCRAM-SHA-1");
}

#[test]
fn a_server_that_is_not_there_and_one_that_says_nothing_end_with_1() {
    // A port that was free a moment ago, and one that accepts and is silent.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (address, error) in [(free, "refused"), (silent.local_addr().unwrap(), "no stream features in time")]
    {
        let target = address.to_string();
        let short = ["--sessions", "2", "--login-timeout", "0.2", "--settle", "0"];
        let output = load(&[&["login", "--target", &target, "--domain", "localhost"], &short[..]].concat());
        let line = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(line.contains(error) && line.contains("\"operations\":0"), "{line}");
    }
}

#[test]
fn a_connection_that_ends_without_a_word_is_not_waited_for() {
    let abrupt = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = abrupt.local_addr().unwrap().to_string();
    // Header and end come together, so that the client hears of the end while it has something to read.
    let server = thread::spawn(move || {
        let (mut socket, _) = abrupt.accept().unwrap();
        let _header = socket.read(&mut [0; 1024]).unwrap();
        socket.write_all(b"<stream:stream>").unwrap();
    });
    let more = ["--sessions", "1", "--settle", "0", "--login-timeout", "60"];
    let output = load(&[&["login", "--target", &target, "--domain", "localhost"], &more[..]].concat());
    let line = String::from_utf8_lossy(&output.stdout);
    assert!(line.contains("the server closed the connection"), "{line}");
    server.join().unwrap();
}

#[test]
fn accounts_are_printed_as_the_server_imports_them() {
    let output =
        load(&["accounts", "--count", "2", "--prefix", "x", "--domain", "a.example", "--password", "p"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "x0@a.example\tp\nx1@a.example\tp\n");
}
