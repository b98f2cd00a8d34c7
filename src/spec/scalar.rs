//! The meaning of a scalar of the file as a hyper-parameter's value. YAML's readers disagree about
//! many spellings (`yes`, `010`, `1_000`). These are refused with the two ways to write what was
//! meant, instead of guessed.

use super::problem::{brief, quoted};
use super::task::ParamType;
use super::tree::Scalar;
use pentagrid_protocol::ParamValue;

/// Why a scalar is no value.
#[derive(Debug)]
pub(super) struct Refusal {
    pub message: String,
    pub label: &'static str,
    pub help: Option<String>,
}

fn refuse<T>(
    message: impl Into<String>,
    label: &'static str,
    help: impl Into<String>,
) -> Result<T, Refusal> {
    Err(Refusal {
        message: message.into(),
        label,
        help: Some(help.into()),
    })
}

/// Refuses a text with a macro as a value: it would be given to the program as it is.
pub(super) fn refuse_macro<T>(text: &str) -> Result<T, Refusal> {
    refuse(
        format!(
            "{} holds `${{`, but values are given as they are",
            quoted(text)
        ),
        "not replaced",
        "list the values that go together under `values` and join them with `zip`, or compute it in the program; `command` and `env` replace `${name}`",
    )
}

/// Maximum length of a text in bytes, since a value is printed, stored and sent for every trial.
const MAX_TEXT: usize = 1024;

/// Longest decimal number that a hint repeats.
const MAX_HINT: usize = 24;

/// Longest scalar that is compared with words such as `yes` and `inf`.
const MAX_WORD: usize = 64;

/// Returns the value of a scalar whose parameter has this type (or none).
pub(super) fn value(scalar: &Scalar, ty: Option<ParamType>) -> Result<ParamValue, Refusal> {
    let value = if ty == Some(ParamType::Float) && scalar.plain && is_integer(&scalar.text) {
        float(&scalar.text)?
    } else {
        meaning(scalar, ty)?
    };
    match (ty, &value) {
        (None, _)
        | (Some(ParamType::Float), ParamValue::Float(_))
        | (Some(ParamType::Int), ParamValue::Int(_))
        | (Some(ParamType::Bool), ParamValue::Bool(_))
        | (Some(ParamType::Text), ParamValue::Text(_)) => Ok(value),
        (Some(ty), _) => mismatch(scalar, &value, ty),
    }
}

/// Returns the number of a scalar outside the parameters.
pub(super) fn number(scalar: &Scalar) -> Result<f64, Refusal> {
    match value(scalar, Some(ParamType::Float))? {
        ParamValue::Float(number) => Ok(number),
        other => mismatch(scalar, &other, ParamType::Float),
    }
}

fn mismatch<T>(scalar: &Scalar, value: &ParamValue, ty: ParamType) -> Result<T, Refusal> {
    let bare = Scalar {
        text: scalar.text.trim().into(),
        plain: true,
    };
    let help = match (ty, value) {
        (ParamType::Text, _) => Some(format!(
            "quote it to make it text: \"{}\"",
            brief(&scalar.text)
        )),
        (_, ParamValue::Text(_)) if !scalar.plain && self::value(&bare, Some(ty)).is_ok() => {
            Some(format!("remove the quotes: {}", brief(&bare.text)))
        }
        (ParamType::Bool, _) => Some("write true or false".to_owned()),
        (ParamType::Int, ParamValue::Float(x)) if x.fract() == 0.0 && x.abs() < 1e15 => {
            Some(format!("write {x:.0}"))
        }
        _ => None,
    };
    let found = match value {
        ParamValue::Text(text) => format!("the text {}", quoted(text)),
        ParamValue::Int(integer) => format!("the integer {integer}"),
        ParamValue::Float(float) => format!("the float {float:?}"),
        ParamValue::Bool(boolean) => format!("the boolean {boolean}"),
        ParamValue::Null => "null".to_owned(),
        ParamValue::List(_) | ParamValue::Map(_) => value.kind().to_owned(),
    };

    Err(Refusal {
        message: format!("expected {}, found {found}", type_words(ty)),
        label: match ty {
            ParamType::Int => "not an integer",
            ParamType::Float => "not a number",
            ParamType::Text => "not text",
            ParamType::Bool => "not a boolean",
        },
        help,
    })
}

/// Names a type, with its article.
pub(super) fn type_words(ty: ParamType) -> &'static str {
    match ty {
        ParamType::Int => "an integer",
        ParamType::Float => "a number",
        ParamType::Text => "text",
        ParamType::Bool => "true or false",
    }
}

/// The meaning of a scalar by itself. The type only decides what an ambiguous one may have meant.
fn meaning(scalar: &Scalar, ty: Option<ParamType>) -> Result<ParamValue, Refusal> {
    let text = &*scalar.text;
    if scalar.is_null() && text.is_empty() {
        return refuse(
            "a value is missing",
            "no value",
            "write a value, null for Python's None, or \"\" for an empty text",
        );
    }
    if scalar.is_null() {
        return Ok(ParamValue::Null);
    }
    if !scalar.plain {
        return self::text(text);
    }

    match text {
        "true" | "True" | "TRUE" => return Ok(ParamValue::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(ParamValue::Bool(false)),
        _ => {}
    }
    let lower = if text.len() <= MAX_WORD {
        text.to_ascii_lowercase()
    } else {
        String::new()
    };
    let is_number_wanted = matches!(ty, Some(ParamType::Float | ParamType::Int));
    if matches!(&*lower, "yes" | "no" | "on" | "off" | "y" | "n") && !is_number_wanted {
        let boolean = matches!(&*lower, "yes" | "on" | "y");
        return refuse(
            format!("`{text}` is a boolean to some YAML readers and text to others"),
            "ambiguous",
            either(ty, format!("write {boolean} for the boolean"), text),
        );
    }
    if let ".nan" | "nan" | ".inf" | "inf" | "infinity" = lower.trim_start_matches(['+', '-']) {
        return refuse(
            format!("{text} is not a finite number"),
            "not finite",
            either(ty, "write a finite number".to_owned(), text),
        );
    }

    if is_integer(text) {
        return integer(text, ty);
    }
    if is_float(text) {
        return float(text);
    }
    if let Some((what, meant)) = other_notation(text) {
        return refuse(
            format!("{} is {what}", quoted(text)),
            "ambiguous",
            either(ty, format!("write the number as a decimal{meant}"), text),
        );
    }
    self::text(text)
}

fn integer(text: &str, ty: Option<ParamType>) -> Result<ParamValue, Refusal> {
    if let Ok(integer) = text.parse() {
        return Ok(ParamValue::Int(integer));
    }
    let help = match ty {
        Some(ParamType::Int) => "integers end at 9,223,372,036,854,775,807",
        Some(ParamType::Text) => "quote it to make it text",
        _ => "write it as a float (with a point or an exponent), or in quotes as text",
    };
    refuse(
        format!("{} does not fit in 64 bits", quoted(text)),
        "too large an integer",
        help,
    )
}

/// The ways out of an ambiguity that the parameter's type allows.
fn either(ty: Option<ParamType>, value: String, text: &str) -> String {
    let text = brief(text);
    match ty {
        None => format!("{value}, or \"{text}\" in quotes for the text"),
        Some(ParamType::Text) => format!("quote it: \"{text}\""),
        Some(_) => value,
    }
}

fn text(text: &str) -> Result<ParamValue, Refusal> {
    if text.len() > MAX_TEXT {
        return refuse(
            format!(
                "a text value may have {MAX_TEXT} bytes; this one has {}",
                text.len()
            ),
            "too long",
            "put long texts in a file and name the file",
        );
    }

    if text
        .chars()
        .any(|letter| letter.is_control() && letter != '\n' && letter != '\t')
    {
        return refuse(
            "a text value must not contain control characters",
            "control character",
            "remove them",
        );
    }
    Ok(ParamValue::Text(text.to_owned()))
}

fn float(text: &str) -> Result<ParamValue, Refusal> {
    let Ok(number) = text.parse::<f64>() else {
        return refuse(
            format!("{} is not a number", quoted(text)),
            "not a number",
            "write it like 0.001 or 1e-3",
        );
    };

    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    if !number.is_finite() {
        refuse(
            format!("{} is too large for a 64-bit float", quoted(text)),
            "too large",
            "floats end at about 1.8e308",
        )
    } else if number == 0.0 && mantissa.contains(|c: char| matches!(c, '1'..='9')) {
        refuse(
            format!("{} is too small for a 64-bit float", quoted(text)),
            "would become 0",
            "floats end at about 5e-324",
        )
    } else {
        Ok(ParamValue::float(number))
    }
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A decimal integer without leading zeros.
fn is_integer(text: &str) -> bool {
    let digits = unsigned(text);
    all_digits(digits) && (digits.len() == 1 || !digits.starts_with('0'))
}

fn is_float(text: &str) -> bool {
    let body = unsigned(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };

    let is_mantissa = match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            (all_digits(whole) || whole.is_empty())
                && (all_digits(fraction) || fraction.is_empty())
                && !(whole.is_empty() && fraction.is_empty())
        }
        None => all_digits(mantissa) && exponent.is_some(),
    };
    is_mantissa && exponent.is_none_or(|digits| all_digits(unsigned(digits)))
}

/// Recognizes numbers in notations that YAML 1.1 and 1.2 read differently. Returns what the text
/// is, and the decimal number as a hint.
fn other_notation(text: &str) -> Option<(&'static str, String)> {
    let body = unsigned(text);
    let sign = if text.starts_with('-') { "-" } else { "" };

    if all_digits(body) {
        let decimal = body.trim_start_matches('0');
        let decimal = if decimal.is_empty() { "0" } else { decimal };
        return Some((
            "octal to some YAML readers and decimal to others",
            hint(sign, decimal),
        ));
    }
    if let Some(number) = in_another_base(body) {
        return Some((
            "a number in another base to some YAML readers and text to others",
            hint(sign, &number.to_string()),
        ));
    }
    if body.starts_with(|letter: char| letter.is_ascii_digit()) && body.contains('_') {
        let decimal = body.replace('_', "");
        if is_integer(&decimal) || is_float(&decimal) {
            return Some((
                "a number to some YAML readers and text to others",
                hint(sign, &decimal),
            ));
        }
    }
    if body.contains(':') && body.split(':').all(all_digits) {
        return Some((
            "a number in base 60 to some YAML readers and text to others",
            String::new(),
        ));
    }
    None
}

/// The value of a hexadecimal, octal or binary number.
fn in_another_base(text: &str) -> Option<u64> {
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(&digits.replace('_', ""), radix).ok();
        }
    }
    None
}

fn hint(sign: &str, decimal: &str) -> String {
    if decimal.len() <= MAX_HINT {
        format!(" ({sign}{decimal})")
    } else {
        String::new()
    }
}

/// The refusal of a collection in the place of a number.
pub(super) fn not_a_number(found: &str) -> Refusal {
    Refusal {
        message: format!("expected a number, found {found}"),
        label: "not a number",
        help: None,
    }
}
