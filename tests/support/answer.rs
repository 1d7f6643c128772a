//! Reads one HTTP answer to its end; one that is cut short is none.

use std::io::{BufRead, Error, ErrorKind, Result};

/// An answer with status 200.
#[derive(Debug)]
pub struct Answer {
    pub body: Vec<u8>,
    pub after: After,
}

/// What the server wants of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Keep,
    Close,
}

/// An error of kind `InvalidData` is an answer too, but not with 200.
pub fn read_answer(stream: &mut impl BufRead) -> Result<Answer> {
    let status = read_line(stream)?;
    if !status.starts_with("http/1.1 200") {
        return Err(Error::new(ErrorKind::InvalidData, status));
    }
    let (mut length, mut after) = (0, After::Keep);
    loop {
        let header = read_line(stream)?;
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().map_err(|_| Error::new(ErrorKind::InvalidData, header.clone()))?;
        }
        if header == "connection: close" {
            after = After::Close;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Answer { body, after })
}

fn read_line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    if line.ends_with('\n') {
        Ok(line.trim_end().to_ascii_lowercase())
    } else {
        Err(ErrorKind::UnexpectedEof.into())
    }
}
