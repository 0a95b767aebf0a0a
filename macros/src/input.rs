//! [`Declaration`]: the input of the macro, parsed. It goes to [`File`](crate::file::File), which reads the guest, and to the
//! expansion.

use proc_macro2::{Ident, Span, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Error, LitBool, LitStr, Macro, Result, Token, Type, Visibility, braced, parse_quote,
};

/// `$crate => pub struct Creature<World> in "guests/creature.wasm";`
pub(crate) struct Declaration {
    /// The path of the library, as the host names it. A token tree, because `$crate` is no identifier.
    pub(crate) library: TokenTree,
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) name: Ident,
    /// The type of the store's state.
    pub(crate) state: Type,
    pub(crate) path: FilePath,
    pub(crate) options: Options,
}

/// A string, or strings and environment variables: `concat!(env!("OUT_DIR"), "/guest.wasm")`.
pub(crate) struct FilePath {
    pub(crate) value: String,
    /// The path for messages and docs, in which each variable is `$` and its name.
    pub(crate) written: String,
    pub(crate) span: Span,
}

pub(crate) struct Options {
    pub(crate) traps: Traps,
    pub(crate) embed: bool,
    /// Whether the module is prepared for checkpoints.
    pub(crate) checkpoints: bool,
    /// Whether the module is prepared so that calls can be frozen.
    pub(crate) freezable: bool,
    pub(crate) rename: Vec<Rename>,
}

/// How a method reports a trap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traps {
    Error,
    Value,
}

/// `"foo-bar" => foo_bar`
pub(crate) struct Rename {
    pub(crate) export: LitStr,
    pub(crate) name: Ident,
}

impl Parse for Declaration {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let library = input.parse()?;
        if input.parse::<Token![=>]>().is_err() {
            return Err(input.error("this macro is a part of `wasm_jobs::wrapper!`: use that"));
        }
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        input.parse::<Token![struct]>()?;
        let name = input.parse()?;
        let state = if input.peek(Token![<]) { state(input)? } else { parse_quote!(()) };
        if input.parse::<Token![in]>().is_err() {
            return Err(input.error("expected the guest's file: `in \"path/of/guest.wasm\"`"));
        }
        let path = input.parse()?;
        let options = if input.peek(syn::token::Brace) {
            let options = input.parse()?;
            input.parse::<Option<Token![;]>>()?;
            options
        } else if input.parse::<Token![;]>().is_ok() {
            Options::default()
        } else {
            return Err(input.error("expected `;`, or options in braces"));
        };
        if !input.is_empty() {
            return Err(input.error(
                "expected the end of `wrapper!`: declare each struct in a `wrapper!` of its own",
            ));
        }
        Ok(Self { library, attrs, vis, name, state, path, options })
    }
}

impl Parse for FilePath {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let span = input.span();
        if let Ok(path) = input.parse::<LitStr>() {
            return Ok(Self { value: path.value(), written: path.value(), span });
        }
        let parts = input
            .parse::<Macro>()
            .ok()
            .filter(|path| path.path.is_ident("concat"))
            .and_then(|path| path.parse_body_with(parts).ok());
        let Some(parts) = parts else {
            let message = "expected the path of the guest's file: a string, or \
                           `concat!(env!(\"OUT_DIR\"), \"/guest.wasm\")`";
            return Err(Error::new(span, message));
        };
        let mut path = Self { value: String::new(), written: String::new(), span };
        for part in parts {
            match part {
                Part::Text(text) => {
                    path.value += &text.value();
                    path.written += &text.value();
                }
                Part::Variable(name) => {
                    let variable = name.value();
                    path.value += &std::env::var(&variable).map_err(|error| {
                        Error::new(name.span(), format!("`{variable}`: {error}"))
                    })?;
                    path.written += &format!("${variable}");
                }
            }
        }
        Ok(path)
    }
}

/// A piece of a path.
enum Part {
    Text(LitStr),
    Variable(LitStr),
}

fn parts(input: ParseStream<'_>) -> Result<Punctuated<Part, Token![,]>> {
    Punctuated::parse_terminated(input)
}

impl Parse for Part {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            return Ok(Self::Text(input.parse()?));
        }
        let variable: Macro = input.parse()?;
        match variable.path.is_ident("env") {
            true => Ok(Self::Variable(variable.parse_body()?)),
            false => Err(Error::new_spanned(variable, "expected `env!`")),
        }
    }
}

/// `<World>`
fn state(input: ParseStream<'_>) -> Result<Type> {
    input.parse::<Token![<]>()?;
    let state = input.parse()?;
    if input.parse::<Token![>]>().is_err() {
        return Err(input.error("expected `>`: write one type, the state of the store"));
    }
    Ok(state)
}

impl Default for Options {
    fn default() -> Self {
        Self {
            traps: Traps::Error,
            embed: true,
            checkpoints: false,
            freezable: false,
            rename: Vec::new(),
        }
    }
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let content;
        braced!(content in input);
        let mut options = Self::default();
        let mut seen: Vec<Ident> = Vec::new();
        while !content.is_empty() {
            let option: Ident = content.parse()?;
            if seen.contains(&option) {
                return Err(Error::new(
                    option.span(),
                    format!("the option `{option}` is given twice"),
                ));
            }
            let known = ["traps", "embed", "checkpoints", "freezable", "rename"];
            if !known.iter().any(|known| option == known) {
                let message = format!(
                    "no option is named `{option}`: the options are `traps`, `embed`, `checkpoints`, \
                     `freezable` and `rename`"
                );
                return Err(Error::new(option.span(), message));
            }
            if content.parse::<Token![:]>().is_err() {
                return Err(content.error(format!("expected `:`, as in `{option}: ..`")));
            }
            match &*option.to_string() {
                "traps" => options.traps = content.parse()?,
                "embed" => options.embed = boolean(&content)?,
                "checkpoints" => options.checkpoints = boolean(&content)?,
                "freezable" => options.freezable = boolean(&content)?,
                _ => options.rename = renames(&content)?,
            }
            seen.push(option);
            if !content.is_empty() {
                content.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

fn boolean(input: ParseStream<'_>) -> Result<bool> {
    let value = input.parse::<LitBool>();
    Ok(value.map_err(|error| Error::new(error.span(), "expected `true` or `false`"))?.value)
}

impl Parse for Traps {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        match input.parse::<Ident>() {
            Ok(word) if word == "error" => Ok(Self::Error),
            Ok(word) if word == "value" => Ok(Self::Value),
            Ok(word) => Err(Error::new(word.span(), "expected `error` or `value`")),
            Err(error) => Err(Error::new(error.span(), "expected `error` or `value`")),
        }
    }
}

/// `{ "foo-bar" => foo_bar, "baz" => qux }`
fn renames(input: ParseStream<'_>) -> Result<Vec<Rename>> {
    let content;
    braced!(content in input);
    Ok(Punctuated::<_, Token![,]>::parse_terminated(&content)?.into_iter().collect())
}

impl Parse for Rename {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let form = |error: Error| {
            Error::new(error.span(), "expected `\"name of the export\" => name_of_the_method`")
        };
        let export = input.parse().map_err(form)?;
        input.parse::<Token![=>]>().map_err(form)?;
        if !input.peek(Ident::peek_any) {
            return Err(form(input.error("")));
        }
        Ok(Self { export, name: input.parse()? })
    }
}
