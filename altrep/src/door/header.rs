//! Writes `rpkg/inst/include/cowshed.h` from the definitions in `abi`, and sees to it that the file in the repository is what they say.

use std::fmt::Write;
use std::path::PathBuf;

use super::abi::{self, CONSTANTS, Declared, Function, OPAQUE, STRUCTS};

/// What stands around the definitions.
const BEFORE: &str = include_str!("before.h");
const AFTER: &str = include_str!("after.h");

/// Columns.
const WIDTH: usize = 140;

fn c_name(rust: &str) -> String {
    format!("cowshed_{}", rust.to_lowercase())
}

fn c_type(rust: &str) -> String {
    match rust {
        "u32" => "uint32_t".into(),
        "u64" => "uint64_t".into(),
        "c_int" => "int".into(),
        "c_char" => "char".into(),
        "c_void" => "void".into(),
        "SEXP" => "SEXP".into(),
        _ => match (rust.strip_prefix("*const "), rust.strip_prefix("*mut ")) {
            (Some(to), _) => format!("const {} *", c_type(to)),
            (_, Some(to)) => format!("{} *", c_type(to)),
            _ => {
                assert!(STRUCTS.iter().map(|s| s.name).chain(OPAQUE.iter().map(|o| o.0)).any(|n| n == rust), "{rust}");
                c_name(rust)
            }
        },
    }
}

/// `type name`, with no space after a star.
fn declaration(rust: &str, name: &str) -> String {
    let c = c_type(rust);
    if c.ends_with('*') { format!("{c}{name}") } else { format!("{c} {name}") }
}

fn arguments(function: &Function) -> String {
    let all: Vec<_> = function.1.iter().map(|(name, of)| declaration(of, name)).collect();
    if all.is_empty() { "void".into() } else { all.join(", ") }
}

fn value(function: &Function, name: &str) -> String {
    function.2.map_or_else(|| format!("void {name}"), |of| declaration(of, name))
}

fn comment(out: &mut String, indent: &str, docs: &[&str]) {
    let text = docs.iter().map(|line| line.trim()).collect::<Vec<_>>();
    let paragraphs = text.split(|line| line.is_empty()).map(|lines| lines.join(" "));
    let mut lines = Vec::new();
    for (i, paragraph) in paragraphs.enumerate() {
        if i > 0 {
            lines.push(String::new());
        }
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && indent.len() + 3 + line.len() + 1 + word.len() > WIDTH - 3 {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    let last = lines.len() - 1;
    for (i, line) in lines.iter().enumerate() {
        let (begin, end) = (if i == 0 { "/*" } else { " *" }, if i == last { " */" } else { "" });
        let _ = writeln!(out, "{}", format!("{indent}{begin} {line}{end}").trim_end());
    }
}

fn structure(out: &mut String, declared: &Declared) {
    comment(out, "", declared.docs);
    let name = c_name(declared.name);
    let _ = writeln!(out, "struct {name} {{");
    for (field, of, docs) in declared.fields {
        comment(out, "    ", docs);
        let _ = writeln!(out, "    {};", declaration(of, field));
    }
    for function in declared.functions {
        comment(out, "    ", function.3);
        let _ = writeln!(out, "    {}({});", value(function, &format!("(*{})", function.0)), arguments(function));
    }
    out.push_str("};\n\n");
}

/// A function of the table under its own name.
fn inline(out: &mut String, function: &Function) {
    let names: Vec<_> = function.1.iter().map(|a| a.0).collect();
    let call = format!("cowshed_table()->{}({})", function.0, names.join(", "));
    let (name, arguments) = (value(function, &format!("cowshed_{}", function.0)), arguments(function));
    let result = if function.2.is_some() { "return " } else { "" };
    let _ = writeln!(out, "static inline {name}({arguments})\n{{\n    {result}{call};\n}}\n");
}

fn header() -> String {
    let mut out = BEFORE.to_owned();
    for (name, value, docs) in CONSTANTS {
        comment(&mut out, "", docs);
        let _ = writeln!(out, "#define COWSHED_{name} {value}u");
    }
    out.push('\n');
    for (name, docs) in OPAQUE {
        comment(&mut out, "", docs);
        let name = c_name(name);
        let _ = writeln!(out, "typedef struct {name} {name};");
    }
    for declared in STRUCTS {
        let name = c_name(declared.name);
        let _ = writeln!(out, "typedef struct {name} {name};");
    }
    out.push('\n');
    for declared in STRUCTS {
        structure(&mut out, declared);
    }
    let host = STRUCTS.iter().find(|s| s.name == "Host").expect("the host's table");
    let (written, inlined) = AFTER.split_once("/* inline */\n").expect("where the functions go");
    out.push_str(written);
    // These have wrappers of their own.
    let own = ["register_strategy", "register_virtual", "virtual_vector"];
    for function in host.functions.iter().filter(|f| !own.contains(&f.0)) {
        inline(&mut out, function);
    }
    out.push_str(inlined);
    out
}

#[test]
fn the_header_is_what_the_definitions_say() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../rpkg/inst/include/cowshed.h");
    let header = header();
    if std::env::var_os("COWSHED_WRITE_HEADER").is_some() {
        std::fs::write(&path, &header).expect("the header can be written");
    }
    let file = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        file == header,
        "rpkg/inst/include/cowshed.h is out of date; run COWSHED_WRITE_HEADER=1 cargo test -p cowshed-altrep the_header"
    );
}

#[test]
fn structs_have_the_sizes_of_version_1() {
    // A struct that a plugin was compiled with only ever grows at its end.
    let word = size_of::<usize>();
    assert_eq!((size_of::<abi::Payload>(), size_of::<abi::Piece>(), size_of::<abi::Node>()), (16, 16, 48));
    assert_eq!(size_of::<abi::Strategy>(), 8 + 3 * word + 8 + 5 * word);
    assert_eq!(std::mem::offset_of!(abi::Strategy, package), 8 + word);
    assert_eq!(std::mem::offset_of!(abi::Host, register_strategy), 8);
    assert_eq!(std::mem::offset_of!(abi::Host, corrupt), 8 + 15 * word);
    assert_eq!(std::mem::offset_of!(abi::Virtual, read), 8 + 2 * word + 8);
    assert_eq!(size_of::<abi::Virtual>(), 8 + 2 * word + 8 + 11 * word);
    assert_eq!(size_of::<abi::Host>(), 8 + 19 * word);
}
