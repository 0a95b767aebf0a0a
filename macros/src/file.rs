//! [`File`]: the guest's file. It comes from the path in the declaration, and goes to [`Module`](crate::module::Module), which reads
//! the exports, and to the expansion, which embeds the bytes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use wast::parser::{self, ParseBuffer};

pub(crate) struct File {
    /// The path as the user wrote it.
    pub(crate) written: String,
    /// The absolute path, for `include_bytes!`.
    pub(crate) path: String,
    /// The content, in the binary format.
    pub(crate) wasm: Vec<u8>,
    /// Whether the file itself is in the text format.
    pub(crate) is_text: bool,
}

impl File {
    /// Reads the file. A relative path is relative to `folder`. The error is a whole message, with the path in it.
    pub(crate) fn read(written: &str, folder: Option<PathBuf>) -> Result<Self, String> {
        if written.is_empty() {
            return Err(
                "the path is empty: write the path of the guest's file, relative to the folder of the package"
                    .into(),
            );
        }
        let path = match folder {
            Some(folder) => folder.join(written),
            None if Path::new(written).is_absolute() => PathBuf::from(written),
            None => {
                return Err(format!(
                    "`{written}` is relative to the folder of the package, which is not known because \
                     cargo does not run this build: write an absolute path"
                ));
            }
        };
        let content = fs::read(&path).map_err(|error| cannot_read(written, &path, &error))?;
        let is_text = !content.starts_with(b"\0asm");
        let wasm = if is_text { from_text(written, &content)? } else { content };
        if wasmparser::Parser::is_component(&wasm) {
            return Err(format!(
                "`{written}` is a component, and `wrapper!` is for modules: use wasmtime's `bindgen!`, and start the calls \
                 with `Instance::start`"
            ));
        }
        let Some(path) = path.to_str().map(str::to_owned) else {
            return Err(format!(
                "the absolute path of `{written}` is not UTF-8: {path:?}. Move the file or the package"
            ));
        };
        Ok(Self { written: written.to_owned(), path, wasm, is_text })
    }
}

fn cannot_read(written: &str, path: &Path, error: &io::Error) -> String {
    if path.is_dir() {
        return format!(
            "`{written}` is a folder: write the path of a file, in the binary or the text format of wasm"
        );
    }
    let at = path.display();
    match error.kind() {
        io::ErrorKind::NotFound if Path::new(written).is_absolute() => {
            format!("there is no file `{at}`: is it built already?")
        }
        io::ErrorKind::NotFound => format!(
            "there is no file `{at}`: the path is relative to the folder of the package, where its \
             Cargo.toml is. Is the file built already?"
        ),
        _ => format!("cannot read `{at}`: {error}"),
    }
}

fn from_text(written: &str, content: &[u8]) -> Result<Vec<u8>, String> {
    let Ok(text) = std::str::from_utf8(content) else {
        return Err(format!(
            "`{written}` is not wasm: a file in the binary format begins with \"\\0asm\", and one in the text format is UTF-8"
        ));
    };
    let mut error = match to_binary(text) {
        Ok(wasm) => return Ok(wasm),
        Err(error) => error,
    };
    error.set_path(Path::new(written));
    error.set_text(text);
    Err(format!(
        "`{written}` was read as the text format of wasm, because it does not begin with \"\\0asm\":\n{error}"
    ))
}

/// The binary module of a text.
pub(crate) fn to_binary(text: &str) -> Result<Vec<u8>, wast::Error> {
    let buffer = ParseBuffer::new(text)?;
    parser::parse::<wast::Wat<'_>>(&buffer)?.encode()
}
