//! The C table between cowshed and the libraries of other packages, defined once: here, and from here in `rpkg/inst/include/cowshed.h`.
//!
//! - Only C crosses: numbers, pointers, R objects. The two libraries may be built by different compilers.
//! - Every struct begins with its size and is only ever added to at its end; [`ABI`] changes when that is not enough. `size`, `abi` and
//!   `register_strategy` of [`Host`], and the first four fields of [`Strategy`], are the same in every version, so that a stranger can be
//!   refused in words.
//! - Functions of either side behave as R's own: what goes wrong is an R error, which jumps. Whoever has destructors to run puts
//!   [`crate::boundary::call`] around them.
//!
//! What is documented here is the documentation of the header.

use std::ffi::{c_char, c_int, c_void};

use crate::sys::SEXP;

/// A struct, function or constant, as the header needs it; all as text.
#[cfg_attr(not(test), allow(dead_code, reason = "the header is written by a test"))]
pub(super) struct Declared {
    pub(super) name: &'static str,
    pub(super) docs: &'static [&'static str],
    /// Name, type, documentation.
    pub(super) fields: &'static [(&'static str, &'static str, &'static [&'static str])],
    pub(super) functions: &'static [Function],
}

/// A function's name, arguments (name, type), type of its value, documentation.
pub(super) type Function =
    (&'static str, &'static [(&'static str, &'static str)], Option<&'static str>, &'static [&'static str]);

macro_rules! declare {
    (
        constants { $( $(#[doc = $cdoc:literal])* $constant:ident = $value:literal; )* }
        opaque { $( $(#[doc = $odoc:literal])* $opaque:ident; )* }
        $( $(#[doc = $doc:literal])* struct $name:ident {
            fields { $( $(#[doc = $fdoc:literal])* $field:ident : $type:ty; )* }
            $(functions { $( $(#[doc = $gdoc:literal])* $function:ident($($argument:ident : $atype:ty),*) $(-> $rtype:ty)?; )* })?
            $(callbacks { $( $(#[doc = $bdoc:literal])* $callback:ident($($bargument:ident : $btype:ty),*) $(-> $brtype:ty)?; )* })?
        } )*
    ) => {
        $( $(#[doc = $cdoc])* pub const $constant: u32 = $value; )*
        $(
            $(#[doc = $odoc])*
            #[repr(C)]
            #[derive(Debug)]
            pub struct $opaque {
                private: [u8; 0],
            }
        )*
        $(
            $(#[doc = $doc])*
            #[repr(C)]
            #[derive(Clone, Copy, Debug)]
            pub struct $name {
                $( $(#[doc = $fdoc])* pub $field: $type, )*
                $($( $(#[doc = $gdoc])* pub $function: unsafe extern "C-unwind" fn($($argument: $atype),*) $(-> $rtype)?, )*)?
                $($( $(#[doc = $bdoc])* pub $callback: Option<unsafe extern "C-unwind" fn($($bargument: $btype),*) $(-> $brtype)?>, )*)?
            }
        )*
        #[cfg_attr(not(test), allow(dead_code, reason = "the header is written by a test"))]
        pub(super) const CONSTANTS: &[(&str, u32, &[&str])] = &[$( (stringify!($constant), $value, &[$($cdoc),*]) ),*];
        #[cfg_attr(not(test), allow(dead_code, reason = "the header is written by a test"))]
        pub(super) const OPAQUE: &[(&str, &[&str])] = &[$( (stringify!($opaque), &[$($odoc),*]) ),*];
        #[cfg_attr(not(test), allow(dead_code, reason = "the header is written by a test"))]
        pub(super) const STRUCTS: &[Declared] = &[$( Declared {
            name: stringify!($name),
            docs: &[$($doc),*],
            fields: &[$( (stringify!($field), stringify!($type), &[$($fdoc),*]) ),*],
            functions: &[
                $($( (stringify!($function), &[$((stringify!($argument), stringify!($atype))),*],
                    declare!(@option $($rtype)?), &[$($gdoc),*]), )*)?
                $($( (stringify!($callback), &[$((stringify!($bargument), stringify!($btype))),*],
                    declare!(@option $($brtype)?), &[$($bdoc),*]), )*)?
            ],
        } ),*];
    };
    (@option) => { None };
    (@option $type:ty) => { Some(stringify!($type)) };
}

declare! {
    constants {
        /// Version of this interface. cowshed refuses a strategy of another one.
        ABI = 1;
        /// No node.
        NONE = 4_294_967_295;
        /// A claim: not mine.
        CLAIM_NO = 0;
        /// A claim: only if nobody else wants it.
        CLAIM_FALLBACK = 1;
        /// A claim: by its type. The strategies of R's own types claim so.
        CLAIM_TYPE = 2;
        /// A claim by class is this plus a number, the larger the more specific.
        CLAIM_CLASS = 3;
        /// A claim: by class, as without claim(). It is COWSHED_CLASS(101) for the last class of class(x) and for an S4 object's own, one more for
        /// each class before the last, one less for each step up the classes that an S4 class extends.
        CLAIM_BY_CLASS = 4_294_967_294;
        /// No claim: claim() failed.
        CLAIM_FAILED = 4_294_967_295;
        /// In a strategy's flags: it came through the Rust crate cowshed-plugins.
        WRITTEN_IN_RUST = 1;
        /// In the flags of virtual vectors: their elements are made on R's thread alone, where read() may call R. A pointer to them is one to a copy of all.
        R_THREAD = 1;
        /// In the flags of virtual vectors: of all kinds with this flag, one function that makes or takes elements runs at a time.
        ONE_AT_A_TIME = 16;
        /// In the flags of virtual vectors: none is NA.
        NO_NA = 2;
        /// In the flags of virtual vectors: none is less than the one before it.
        INCREASING = 4;
        /// In the flags of virtual vectors: none is more than the one before it.
        DECREASING = 8;
    }

    opaque {
        /// What a value is written to, while encode() runs.
        Encoder;
        /// What a value is made from, while open() or replace() runs.
        Opener;
    }

    /// Where bytes that were written lie. {0, 0} for none.
    struct Payload {
        fields {
            /// From the beginning of the segment, in bytes.
            offset: u64;
            /// In bytes.
            length: u64;
        }
    }

    /// Bytes to be written.
    struct Piece {
        fields {
            /// Where they begin.
            bytes: *const c_void;
            /// How many.
            length: u64;
        }
    }

    /// One value in a segment.
    struct Node {
        fields {
            /// sizeof(cowshed_node).
            size: u32;
            /// The node of its attributes, from write_attributes(); COWSHED_NONE if it has none.
            attributes: u32;
            /// The value's length, for the strategy to read again.
            length: u64;
            /// Its bytes.
            payload: Payload;
            /// A number for the strategy to read again, below 2^56.
            aux: u64;
            /// How many children it has: read_node() says. add_node() is told by its own argument.
            child_count: u32;
            /// Zero.
            reserved: u32;
        }
    }

    /// How one class of objects is shared. Register it with cowshed_register(), which copies it.
    ///
    /// A callback returns 0, or anything else if it failed: `return cowshed_fail("why");`. It may call R, and an R error that leaves it, its
    /// own or R's, is caught and becomes one of class cowshed_error_plugin that names package and strategy. Nothing is left in shared memory
    /// then. A C++ exception must not leave it.
    struct Strategy {
        fields {
            /// sizeof(cowshed_strategy); cowshed_register() sets it.
            size: u32;
            /// COWSHED_ABI; cowshed_register() sets it.
            abi: u32;
            /// The package's name, a dot, and a name without dots: "mypkg.thing". It is written into every segment that uses the strategy, and
            /// tells a process that lacks it which package to load.
            name: *const c_char;
            /// The package's name.
            package: *const c_char;
            /// The S3 or S4 class of what it shares; NULL if only claim() knows.
            class_name: *const c_char;
            /// The types it shares: 1 << SEXPTYPE of each.
            kinds: u32;
            /// 0, or COWSHED_WRITTEN_IN_RUST.
            flags: u32;
            /// Given to every callback.
            state: *mut c_void;
        }
        callbacks {
            /// Whether `x`, of one of the types and of the class if there is one, is its own: one of the COWSHED_CLAIM numbers, or
            /// COWSHED_CLASS(n). The largest claim wins, and a tie is an error. It is asked often, so it must be quick. NULL: by class, more
            /// specific the earlier the class is in class(x).
            claim(state: *mut c_void, x: SEXP) -> u32;
            /// Writes `x` and stores its node.
            encode(state: *mut c_void, out: *mut Encoder, x: SEXP, node: *mut u32) -> c_int;
            /// Makes the value of a node again and stores it; it need not be protected. The bytes of a segment were checked for their place, not
            /// for their meaning: check lengths and aux, and say cowshed_corrupt() of nonsense.
            open(state: *mut c_void, from: *mut Opener, node: u32, value: *mut SEXP) -> c_int;
            /// Makes what share() returns for `original`, which was just written as `node`. NULL: as open().
            replace(state: *mut c_void, from: *mut Opener, original: SEXP, node: u32, value: *mut SEXP) -> c_int;
        }
    }

    /// How the elements of a kind of virtual vectors are made: see virtual_vector(). It stays where it is, and as it is, for the life of the process; so
    /// does the library that has it.
    ///
    /// A callback returns 0, or anything else if it failed: `return cowshed_fail("why");`. Those that are given no R object run on any thread, several at
    /// once, and must not call R or read the memory of a virtual vector, unless COWSHED_R_THREAD says otherwise. All others run on R's thread and may call R,
    /// whose errors may leave them. A C++ exception must not leave any. Only read() must be there. Whoever stores NULL as a value leaves the matter to
    /// cowshed.
    struct Virtual {
        fields {
            /// sizeof(cowshed_virtual); cowshed_virtual_vector() and cowshed_register_virtual() set it.
            size: u32;
            /// COWSHED_ABI; they set it too.
            abi: u32;
            /// The package's name, a dot, and a name without dots: "mypkg.thing". It tells another process which package to load for restore(). NULL for
            /// vectors that are sent as their elements.
            name: *const c_char;
            /// What they are, in a few words, for messages; NULL for the name.
            description: *const c_char;
            /// COWSHED_R_THREAD, COWSHED_ONE_AT_A_TIME, COWSHED_NO_NA, COWSHED_INCREASING, COWSHED_DECREASING. What is said of the elements is
            /// believed only if there is no write().
            flags: u32;
            /// Zero.
            reserved: u32;
        }
        callbacks {
            /// Writes `count` elements, the first being number `start` (from 0 on), to `buffer`. They are never beyond the end. The same elements come out
            /// whenever they are asked for.
            read(data: *mut c_void, start: u64, count: u64, buffer: *mut c_void) -> c_int;
            /// Takes elements that were written to the vector, or lie near such: read() gives them from then on. It is asked when there are too many of them,
            /// before another callback is, and at the end; not as long as another vector has the same `data` (a part, or a duplicate without duplicate()).
            /// If it fails, or there is none, cowshed keeps them for the vector.
            write(data: *mut c_void, start: u64, count: u64, buffer: *const c_void) -> c_int;
            /// No vector needs `data` any more.
            release(data: *mut c_void);
            /// Stores what makes the vector again in another process: for restore(), or, if a `function` is stored too, for that R function. It is the whole
            /// vector that is to be made again; `x` may be a part of it, or it as another type.
            recipe(data: *mut c_void, x: SEXP, state: *mut SEXP, function: *mut SEXP) -> c_int;
            /// Stores the vector that recipe() stored the `state` of.
            restore(state: SEXP, value: *mut SEXP) -> c_int;
            /// Stores the elements of `x` that the `index` selects. Its subscripts are numbers from 1 on, or NA, or beyond the end.
            subset(data: *mut c_void, x: SEXP, index: SEXP, value: *mut SEXP) -> c_int;
            /// Stores a vector that is `x` again, and can be written to.
            duplicate(data: *mut c_void, x: SEXP, value: *mut SEXP) -> c_int;
            /// Stores `x` as a vector of another type (a SEXPTYPE).
            coerce(data: *mut c_void, x: SEXP, kind: u32, value: *mut SEXP) -> c_int;
            /// Prints more about the vector, with Rprintf(), below what .Internal(inspect(x)) shows.
            inspect(data: *mut c_void, x: SEXP) -> c_int;
            /// As read(), of elements `start`, `start + step`, `start + 2 * step`, ..., `count` of them. NULL: read() is asked for them.
            read_apart(data: *mut c_void, start: u64, step: u64, count: u64, buffer: *mut c_void) -> c_int;
            /// Stores a descriptor of the file in which all elements lie, from byte `offset` on, just as they are in memory: it stays the caller's. A pointer to
            /// them is a private mapping of the file then. Anything else than 0: there is none.
            file(data: *mut c_void, descriptor: *mut c_int, offset: *mut u64) -> c_int;
        }
    }

    /// cowshed's functions. Call them by their names with cowshed_ in front, on R's thread, and those that take an encoder or an opener only
    /// within the callback that it was given to. What fails is an R error, which leaves your function as R's own errors do. R objects that they
    /// return are not protected.
    struct Host {
        fields {
            /// sizeof(cowshed_host) in the cowshed that is loaded: it may have more functions than this header knows.
            size: u32;
            /// The version of the interface it has.
            abi: u32;
        }
        functions {
            /// Registers a strategy. Errors (cowshed_error_plugin): another ABI, a name without the package's, a name that another library has
            /// registered, no types, neither class nor claim(), no encode() or open().
            register_strategy(strategy: *const Strategy);
            /// Removes the strategies of a package and says how many they were. Call it from `R_unload_<package>`. Shared objects stay as they are, and so
            /// does the library's code.
            unregister(package: *const c_char) -> c_int;
            /// Keeps a message for the error and returns 1, for the callback to return.
            fail(message: *const c_char) -> c_int;
            /// Writes pieces of bytes one after the other as one payload, which begins at a multiple of 64. Errors: no room, interrupted.
            write(out: *mut Encoder, pieces: *const Piece, count: u32) -> Payload;
            /// Writes another value, whichever strategy it takes, and returns its node. One object met twice is one node. Errors: those of the strategy;
            /// nested too deeply.
            encode(out: *mut Encoder, x: SEXP) -> u32;
            /// Writes the attributes of `x` and returns their node, for add_node(); COWSHED_NONE if it has none.
            write_attributes(out: *mut Encoder, x: SEXP) -> u32;
            /// Adds a node of this strategy, with children, and returns it. Errors (cowshed_error_plugin): a payload or a node that was not written by this
            /// callback, an aux that is too large.
            add_node(out: *mut Encoder, node: *const Node, children: *const u32, count: u32) -> u32;
            /// Reads a node. Set `node->size` first. Errors (cowshed_error_corrupt, here and below): there is no such node.
            read_node(from: *mut Opener, id: u32, node: *mut Node);
            /// The node of child `i`, from 0 on. Errors: there is no such child.
            child(from: *mut Opener, id: u32, i: u32) -> u32;
            /// The bytes of a node's payload, read-only, aligned to 64. Valid within the callback. Other processes may change them meanwhile if the object
            /// is being shared with copyOnWrite = FALSE.
            bytes(from: *mut Opener, id: u32) -> *const c_void;
            /// A shared vector of `length` elements of the type (RAWSXP, LGLSXP, INTSXP, REALSXP, CPLXSXP) that begins `offset` bytes into the node's
            /// payload, with no copy (but below minLength it is a plain vector). It is sent to other processes by reference, also where the
            /// package is not installed. Errors: it does not fit the payload, or `offset` is no multiple of the element's size.
            vector(from: *mut Opener, id: u32, kind: u32, offset: u64, length: u64) -> SEXP;
            /// The value of another node, whichever strategy wrote it.
            open(from: *mut Opener, id: u32) -> SEXP;
            /// In replace(): what stands for `original`, which was written as this node.
            replace(from: *mut Opener, original: SEXP, id: u32) -> SEXP;
            /// Gives a new object the attributes of a node.
            restore_attributes(from: *mut Opener, id: u32, x: SEXP);
            /// In replace(): gives `x`, which stands for `original`, its attributes, long ones shared. The node is that of `original`.
            take_attributes(from: *mut Opener, original: SEXP, id: u32, x: SEXP);
            /// Raises cowshed_error_corrupt: the node is nonsense, and why. Does not return.
            corrupt(from: *mut Opener, id: u32, why: *const c_char);
            /// Registers the restore() of a kind of virtual vectors, by its name. Call it when the package is loaded. Errors (cowshed_error_plugin): another
            /// ABI, a name that is none, no restore().
            register_virtual(kind: *const Virtual);
            /// A virtual vector of `length` elements of a type (LGLSXP, INTSXP, REALSXP, CPLXSXP, RAWSXP), which are made when they are read. `data` is given
            /// to every callback, and belongs to the vector: release() is called also if this fails, and when the last vector that needs it is gone. `keep` is an R object that stays as long as
            /// `data` is in use; R_NilValue for none. Errors: another type; more than 2^52 elements.
            virtual_vector(kind: *const Virtual, data: *mut c_void, vector_type: u32, length: u64, keep: SEXP) -> SEXP;
            /// Raises cowshed_error_plugin with a message. Does not return.
            stop(message: *const c_char);
        }
    }
}
