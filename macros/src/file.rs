//! [`File`]: the guest's file, by the path that the user wrote. It goes to a [`Module`](crate::module::Module) to be read, and
//! to the expansion to be embedded.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) struct File {
    /// The path as the user wrote it.
    pub(crate) written: String,
    /// The path from the root, for `include_bytes!`.
    pub(crate) path: String,
    /// What is in it, as binary.
    pub(crate) wasm: Vec<u8>,
    pub(crate) is_text: bool,
}

impl File {
    /// Reads the file. What is wrong with it is said in full, with its path.
    pub(crate) fn read(written: &str, folder: Option<PathBuf>) -> Result<Self, String> {
        if written.is_empty() {
            return Err(
                "this is no path: write the guest's file, as it is from the folder of the package"
                    .into(),
            );
        }
        let path = match folder {
            Some(folder) => folder.join(written),
            None if Path::new(written).is_absolute() => PathBuf::from(written),
            None => {
                return Err(format!(
                    "`{written}` is relative to the folder of the package, which is not known since \
                     cargo does not build this: write the path from the root"
                ));
            }
        };
        let content = fs::read(&path).map_err(|error| cannot_read(written, &path, &error))?;
        let is_text = !content.starts_with(b"\0asm");
        let wasm = if is_text { from_text(written, &content)? } else { content };
        if wasmparser::Parser::is_component(&wasm) {
            return Err(format!(
                "`{written}` is a component, and `wrapper!` is for modules: use wasmtime's `bindgen!` for it, and start \
                 its calls by `Instance::start`"
            ));
        }
        let Some(path) = path.to_str().map(str::to_owned) else {
            return Err(format!(
                "the path of `{written}` has to be UTF-8 from the root on: {path:?}"
            ));
        };
        Ok(Self { written: written.to_owned(), path, wasm, is_text })
    }
}

fn cannot_read(written: &str, path: &Path, error: &io::Error) -> String {
    if path.is_dir() {
        return format!(
            "`{written}` is a folder: write the path of a file, of wasm or of its text format"
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
            "`{written}` is not wasm: it does not begin with \"\\0asm\", as the binary format does, and is not UTF-8, as the \
             text format is"
        ));
    };
    wat::Parser::new().parse_str(Some(Path::new(written)), text).map_err(|error| {
        format!(
            "`{written}` was read as the text format of wasm, since it does not begin with \"\\0asm\":\n{error}"
        )
    })
}
