//! expat as the second referee: one long-lived python3, asked about whole documents.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running referee. One document may be asked about before the answer to the one before is fetched.
pub(crate) struct Expat {
    process: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Expat {
    pub(crate) fn start() -> Expat {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../xml/tests/expat.py");
        let mut process = Command::new("python3")
            .args([script, "serve"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed as the referee");
        let questions = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("a pipe"));
        Expat { process, questions, answers }
    }

    /// Asks whether expat accepts this document and whether the children of its root mean this.
    pub(crate) fn ask(&mut self, document: &[u8], meaning: &[u8]) {
        let pipe = self.questions.as_mut().expect("a running referee");
        let records =
            [document, meaning].map(|record| [format!("{}\n", record.len()).as_bytes(), record].concat());
        pipe.write_all(&records.concat()).expect("the referee listens");
    }

    /// The answer to the oldest question: `None` for yes, or what it is instead.
    pub(crate) fn answer(&mut self) -> Option<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the referee answers");
        assert!(line.ends_with('\n'), "the referee is gone");
        let told = line.trim_end();
        (told != "yes").then(|| told.to_owned())
    }
}

impl Drop for Expat {
    fn drop(&mut self) {
        self.questions = None;
        let _ = self.process.wait();
    }
}
