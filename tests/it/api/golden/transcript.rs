//! A transcript as a file: blocks of lines, in which the answers are the only lines that are ever rewritten.
//!
//! Owns: the grammar (tests/golden/README.md), both ways. Must not know: what a request does.

/// The two formats that every case is asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `Format=JSON`.
    Json,
    /// `Format=XML`.
    Xml,
}

/// A parsed file.
#[derive(Debug, Clone)]
pub struct Transcript {
    /// Fields whose values are random.
    pub random: Vec<String>,
    /// In order.
    pub blocks: Vec<Block>,
    /// Comments and declarations before the first block.
    head: Vec<String>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Block {
    /// Its lines, without the answers.
    lines: Vec<String>,
    /// The operation.
    pub action: String,
    /// Whether its answers are recorded.
    pub is_case: bool,
    /// Whether a user without any policy sends it, not the account's root.
    pub by_stranger: bool,
    /// Names and values, as written.
    pub parameters: Vec<(String, String)>,
    /// Names under which fields of the answer are kept for later, and the fields.
    pub kept: Vec<(String, String)>,
    /// The answers in JSON and XML.
    pub answers: [Option<Recorded>; 2],
}

/// An answer as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// HTTP status.
    pub status: u16,
    /// The body, made comparable and laid out.
    pub body: String,
}

impl Block {
    /// What a case is called.
    pub fn title(&self) -> &str {
        &self.lines[0]
    }

    /// Whether the recorded answer is a success.
    pub fn succeeds(&self) -> bool {
        self.is_case && self.answers[0].as_ref().is_some_and(|answer| answer.status == 200)
    }

    fn begin(line: &str, action: &str) -> Result<Self, String> {
        let (is_case, action) = match line.split_once(' ') {
            Some(("setup", other)) => (false, other),
            Some(("case", _)) => (true, action),
            _ => return Err(format!("neither `setup OPERATION` nor `case TITLE`: {line}")),
        };
        Ok(Self {
            lines: vec![line.to_owned()],
            action: action.to_owned(),
            is_case,
            by_stranger: false,
            parameters: Vec::new(),
            kept: Vec::new(),
            answers: [None, None],
        })
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let text = line.trim_start();
        if text == "by a stranger" {
            self.by_stranger = true;
        } else if let Some(kept) = text.strip_prefix("keep ") {
            let (name, field) = kept.split_once(" = ").ok_or(format!("not `keep NAME = FIELD`: {line}"))?;
            self.kept.push((name.to_owned(), field.to_owned()));
        } else {
            let (name, value) = text.split_once(':').ok_or(format!("not `NAME: VALUE`: {line}"))?;
            self.parameters.push((name.to_owned(), value.strip_prefix(' ').unwrap_or(value).to_owned()));
        }
        self.lines.push(line.to_owned());
        Ok(())
    }
}

impl Transcript {
    /// Reads the file of an operation.
    pub fn parse(action: &str, text: &str) -> Result<Self, String> {
        let mut transcript = Self { random: Vec::new(), blocks: Vec::new(), head: Vec::new() };
        let mut answer: Option<Format> = None;
        for line in text.lines() {
            let last = transcript.blocks.last_mut();
            match (last, line) {
                (_, "") => {}
                (None, line) if line.starts_with('#') => transcript.head.push(line.to_owned()),
                (None, line) if line.starts_with("random ") => {
                    transcript.random.extend(line.split(' ').skip(1).map(str::to_owned));
                    transcript.head.push(line.to_owned());
                }
                (Some(block), line) if line.starts_with("    ") => {
                    let format = answer.ok_or(format!("a body without its status: {line}"))?;
                    if let Some(recorded) = &mut block.answers[format as usize] {
                        recorded.body.push_str(&line[4..]);
                        recorded.body.push('\n');
                    }
                }
                (Some(block), line) if line.starts_with("  ") => match status(line) {
                    Some((format, status)) => {
                        answer = Some(format);
                        block.answers[format as usize] = Some(Recorded { status, body: String::new() });
                    }
                    None => block.add(line)?,
                },
                (_, line) => {
                    answer = None;
                    transcript.blocks.push(Block::begin(line, action)?);
                }
            }
        }
        Ok(transcript)
    }

    /// The file's text.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let mut lines = |lines: &[String]| lines.iter().for_each(|line| out.extend([line.as_str(), "\n"]));
        lines(&self.head);
        for block in &self.blocks {
            lines(&[String::new()]);
            lines(&block.lines);
            for (name, recorded) in ["json", "xml"].iter().zip(&block.answers) {
                if let Some(Recorded { status, body }) = recorded {
                    lines(&[format!("  {name} {status}")]);
                    lines(&body.lines().map(|line| format!("    {line}")).collect::<Vec<_>>());
                }
            }
        }
        out
    }
}

/// `  json 200`.
fn status(line: &str) -> Option<(Format, u16)> {
    let (format, status) = line.trim_start().split_once(' ')?;
    let format = match format {
        "json" => Format::Json,
        "xml" => Format::Xml,
        _ => return None,
    };
    status.parse().ok().map(|status| (format, status))
}
