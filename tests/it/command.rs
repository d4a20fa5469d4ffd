//! A folder of its own and commands that run in it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use headwater_tests::command_binary;

/// A folder that is gone at the end of the test.
pub(crate) struct Dir(tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Dir(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn create(&self, name: &str, text: &str) {
        let mut file = std::fs::File::create(self.path().join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The lines of all files in a folder, but hidden ones.
    pub(crate) fn lines_below(&self, folder: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in std::fs::read_dir(self.path().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_file() && !name.starts_with(['.', '_']) {
                let text = std::fs::read_to_string(&path).unwrap();
                lines.extend(text.lines().map(ToString::to_string));
            }
        }
        lines
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> TestCommand {
        let mut command = Command::new(command_binary());
        command.args(arguments).current_dir(self.path());
        command.env("XDG_DATA_HOME", self.path());
        TestCommand {
            command,
            stdin: None,
        }
    }
}

/// A command that has not run yet.
pub(crate) struct TestCommand {
    command: Command,
    stdin: Option<String>,
}

/// What a command gave.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestCommand {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = Some(text.to_string());
        self
    }

    pub(crate) fn output(self) -> Finished {
        self.spawn().wait()
    }

    /// What it prints; it must end with 0.
    pub(crate) fn stdout(self) -> String {
        let command = format!("{:?}", self.command);
        let end = self.output();
        assert_eq!(
            end.code,
            Some(0),
            "{command}\n---- stdout\n{}\n---- stderr\n{}",
            end.stdout,
            end.stderr
        );
        end.stdout
    }

    /// What it says; it must end with this code and print no data.
    pub(crate) fn fails_with(self, code: i32) -> String {
        let command = format!("{:?}", self.command);
        let end = self.output();
        assert_eq!(
            end.code,
            Some(code),
            "{command}\n---- stdout\n{}\n---- stderr\n{}",
            end.stdout,
            end.stderr
        );
        end.stderr
    }

    pub(crate) fn spawn(mut self) -> Running {
        let stdin = match self.stdin {
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        };
        let command = self.command.stdin(stdin);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if let (Some(text), Some(mut stdin)) = (self.stdin, child.stdin.take()) {
            stdin.write_all(text.as_bytes()).unwrap();
        }
        let stdout = child.stdout.take().map(BufReader::new);
        let stderr = child.stderr.take().map(BufReader::new).unwrap();
        Running {
            child,
            stdout,
            stderr,
            said: String::new(),
        }
    }
}

/// A command that runs. It is killed if the test ends before it.
pub(crate) struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: BufReader<ChildStderr>,
    /// What was read of standard error until now.
    said: String,
}

impl Running {
    pub(crate) fn read_stdout_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Reads standard error up to a line that holds `part`, and gives that line.
    pub(crate) fn wait_for_stderr(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).unwrap();
            assert!(read > 0, "ended without saying \"{part}\":\n{}", self.said);
            self.said.push_str(&line);
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Reads standard error up to a line that holds `part`, or to its end; says whether it came.
    pub(crate) fn says(&mut self, part: &str) -> bool {
        loop {
            let mut line = String::new();
            if self.stderr.read_line(&mut line).unwrap() == 0 {
                return false;
            }
            self.said.push_str(&line);
            if line.contains(part) {
                return true;
            }
        }
    }

    /// Ends it by a signal that it cannot catch.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, as `kill` knows it.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-s", name, &id]).status();
        assert!(killed.unwrap().success());
    }

    /// Sends a signal again and again until the process ends.
    pub(crate) fn signal_until_it_ends(mut self, name: &str) -> Finished {
        while self.child.try_wait().unwrap().is_none() {
            let id = self.child.id().to_string();
            // It may have ended in between.
            let _ = Command::new("kill").args(["-s", name, &id]).status();
        }
        self.wait()
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn signal_and_wait(self, name: &str) -> Finished {
        self.signal(name);
        self.wait()
    }

    /// Waits for the end; both outputs are read meanwhile, so that neither fills up.
    pub(crate) fn wait(mut self) -> Finished {
        let stdout = self.stdout.take();
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            if let Some(mut stdout) = stdout {
                stdout.read_to_string(&mut text).unwrap();
            }
            text
        });
        let mut stderr = std::mem::take(&mut self.said);
        self.stderr.read_to_string(&mut stderr).unwrap();
        let status = self.child.wait().unwrap();
        Finished {
            code: status.code(),
            stdout: reading.join().unwrap(),
            stderr,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to kill if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
