//! The prompt, at a terminal of the test's own.
//!
//! Needs the binary: `cargo build -p headwater-cli`.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use headwater_tests::command_binary;
use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::openpty;

use crate::command::Dir;

/// A terminal that is silent for so long waits for the test.
const SILENCE_MS: u16 = 30_000;

/// A session at a prompt. It is killed if the test ends before it.
struct Prompt {
    child: Child,
    terminal: File,
    /// What the terminal has shown until now.
    shown: String,
}

impl Prompt {
    fn open(dir: &Dir) -> Prompt {
        let pair = openpty(None, None).unwrap();
        let end = || Stdio::from(pair.slave.try_clone().unwrap());
        let child = Command::new(command_binary())
            .arg("sql")
            .current_dir(dir.path())
            .env("XDG_DATA_HOME", dir.path())
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        Prompt {
            child,
            terminal: File::from(pair.master),
            shown: String::new(),
        }
    }

    /// Types all of it in one write.
    fn types(&mut self, text: &str) {
        let written = self.terminal.write(text.as_bytes()).unwrap();
        assert_eq!(written, text.len());
    }

    /// Reads up to `part`.
    fn wait_for(&mut self, part: &str) {
        while !self.shown.contains(part) {
            let mut waited_for = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut waited_for, SILENCE_MS).unwrap();
            assert!(ready > 0, "no \"{part}\" in:\n{}", self.shown);
            let mut bytes = [0; 4096];
            let read = self.terminal.read(&mut bytes);
            let read = read.unwrap_or_else(|error| panic!("{error} after:\n{}", self.shown));
            self.shown += &String::from_utf8_lossy(&bytes[..read]);
        }
    }

    /// Leaves by `\q`, and gives all that the terminal has shown.
    fn leave(mut self) -> String {
        assert!(self.child.wait().unwrap().success());
        std::mem::take(&mut self.shown)
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        // Nothing to kill if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn lines_that_are_typed_ahead_are_run_in_order() {
    let dir = Dir::new();
    let mut prompt = Prompt::open(&dir);
    prompt.wait_for("headwater> ");
    prompt
        .types("SELECT 1 AS first;\nSELECT 2\nAS second;\n\\d nothing\nSELECT 3 AS third;\n\\q\n");
    prompt.wait_for("| third |");
    let shown = prompt.leave();
    let names = ["| first |", "| second |", "\"nothing\"", "| third |"];
    let places = names.map(|name| shown.find(name));
    assert!(places.is_sorted() && places[0].is_some(), "{shown}");
}

#[test]
fn lines_that_come_before_the_first_prompt_are_run_too() {
    let dir = Dir::new();
    let mut prompt = Prompt::open(&dir);
    prompt.types("SELECT 1 AS first;\nSELECT 2 AS second;\n");
    prompt.wait_for("| second |");
    prompt.types("\\q\n");
    let shown = prompt.leave();
    assert!(shown.contains("| first |"), "{shown}");
}
