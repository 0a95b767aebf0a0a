//! [`Declaration`]: what the user of the macro wrote.

use proc_macro2::{Ident, TokenTree};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Error, LitBool, LitStr, Result, Token, Type, Visibility, braced, parse_quote,
};

/// `$crate => pub struct Creature<World> in "guests/creature.wasm";`
pub(crate) struct Declaration {
    /// The library, as whoever called the macro reaches it. A token tree, for `$crate` is no identifier.
    pub(crate) library: TokenTree,
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) name: Ident,
    /// Of the store.
    pub(crate) state: Type,
    pub(crate) path: LitStr,
    pub(crate) options: Options,
}

pub(crate) struct Options {
    pub(crate) traps: Traps,
    pub(crate) embed: bool,
    pub(crate) rename: Vec<Rename>,
}

/// How a call tells of a trap.
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
            return Err(input.error("this is called by `wasm_jobs::wrapper!`: use that"));
        }
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        input.parse::<Token![struct]>()?;
        let name = input.parse()?;
        let state = if input.peek(Token![<]) { state(input)? } else { parse_quote!(()) };
        if input.parse::<Token![in]>().is_err() {
            return Err(input.error("expected the guest's file: `in \"path/of/guest.wasm\"`"));
        }
        let path = input.parse().map_err(|error| {
            Error::new(error.span(), "expected the path of the guest's file, as a string")
        })?;
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
            return Err(
                input.error("expected nothing more: each struct has a `wrapper!` of its own")
            );
        }
        Ok(Self { library, attrs, vis, name, state, path, options })
    }
}

/// `<World>`
fn state(input: ParseStream<'_>) -> Result<Type> {
    input.parse::<Token![<]>()?;
    let state = input.parse()?;
    if input.parse::<Token![>]>().is_err() {
        return Err(input.error("expected `>`: one type, which is the state of the store"));
    }
    Ok(state)
}

impl Default for Options {
    fn default() -> Self {
        Self { traps: Traps::Error, embed: true, rename: Vec::new() }
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
                return Err(Error::new(option.span(), format!("`{option}` is here twice")));
            }
            if !["traps", "embed", "rename"].iter().any(|known| option == known) {
                let message = format!(
                    "no option is named `{option}`; there are `traps`, `embed` and `rename`"
                );
                return Err(Error::new(option.span(), message));
            }
            content.parse::<Token![:]>()?;
            match &*option.to_string() {
                "traps" => options.traps = content.parse()?,
                "embed" => {
                    let embed = content.parse::<LitBool>();
                    options.embed = embed
                        .map_err(|error| Error::new(error.span(), "expected `true` or `false`"))?
                        .value;
                }
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
        let export = input.parse()?;
        input.parse::<Token![=>]>()?;
        Ok(Self { export, name: input.parse()? })
    }
}
