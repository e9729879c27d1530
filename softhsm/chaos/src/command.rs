//! The commands, one a line: read, obeyed, answered with one line. README.md of softhsm/ lists them for people.
//!
//! Owns: their grammar. Called by: `control`, and `lib` for those of the environment.

use std::time::Duration;

use crate::faults::{Effect, Rule};
use crate::forward::Function;
use crate::gcm::Mode;
use crate::refusals::{Refusal, Refusals};
use crate::{Chaos, codes};

/// Obeys a command.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn obey(chaos: &Chaos, line: &str) -> Result<String, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let plug = &chaos.plug;
    match words.as_slice() {
        ["fail", function, code, options @ ..] => {
            let code = return_code(code)?;
            let late = options.contains(&"late");
            let effect = if late { Effect::FailLate(code) } else { Effect::Fail(code) };
            chaos.faults.add(rule(function, effect, options)?);
        }
        ["delay", function, ms, options @ ..] => chaos.faults.add(rule(function, Effect::Delay(milliseconds(ms)?), options)?),
        ["lasts", function, ms, options @ ..] => chaos.faults.add(rule(function, Effect::Lasts(milliseconds(ms)?), options)?),
        ["hang", function, options @ ..] => chaos.faults.add(rule(function, Effect::Hang, options)?),
        ["release"] => chaos.faults.release(),
        ["clear"] => chaos.faults.clear(),
        ["unplug"] => plug.pull(),
        ["replug"] => plug.replug(),
        ["sessions", "any"] => plug.state().most_sessions = None,
        ["sessions", most] => plug.state().most_sessions = Some(count(most)?),
        ["gcm", "caller"] => plug.state().gcm.mode = Mode::Caller,
        ["gcm", "in-place"] => plug.state().gcm.mode = Mode::InPlace,
        ["gcm", "appended"] => plug.state().gcm.mode = Mode::Appended(12),
        ["gcm", "appended", length] => plug.state().gcm.mode = Mode::Appended(count(length)?),
        ["mechanism", "absent", mechanisms @ ..] => {
            let numbers: Result<Vec<u64>, String> = mechanisms.iter().map(|name| mechanism_number(name)).collect();
            plug.state().absent.extend(numbers?);
        }
        ["mechanism", "all"] => plug.state().absent.clear(),
        ["stale"] => plug.state().stale = true,
        ["stale", "none"] => {
            let mut state = plug.state();
            (state.stale, state.fresh) = (false, None);
        }
        ["hide", ms] => plug.state().hide = milliseconds(ms)?,
        ["lie", "none"] => plug.state().lies.clear(),
        ["lie", attribute, bytes] => {
            let (number, bytes) = attribute_is(attribute, bytes)?;
            plug.state().lies.insert(number, bytes);
        }
        ["keep", attribute, bytes] => {
            let (number, bytes) = attribute_is(attribute, bytes)?;
            plug.state().kept.insert(number, bytes);
        }
        ["refuse", "none"] => plug.state().refusals = Refusals::default(),
        ["refuse", "read-only"] => plug.state().refusals.read_only = Some(return_code("CKR_FUNCTION_FAILED")?),
        ["refuse", "attribute", attribute] => {
            let attribute = attribute_number(attribute)?;
            let code = return_code("CKR_ATTRIBUTE_TYPE_INVALID")?;
            plug.state().refusals.templates.push(Refusal { attribute, value: None, code });
        }
        ["refuse", "value", attribute, bytes, code @ ..] => {
            let (attribute, value) = attribute_is(attribute, bytes)?;
            let code = return_code(code.first().unwrap_or(&"CKR_ATTRIBUTE_VALUE_INVALID"))?;
            plug.state().refusals.templates.push(Refusal { attribute, value: Some(value), code });
        }
        ["objects", "any"] => plug.state().refusals.most_objects = None,
        ["objects", most, code @ ..] => {
            let code = return_code(code.first().unwrap_or(&"CKR_DEVICE_MEMORY"))?;
            plug.state().refusals.most_objects = Some((count(most)?, code));
        }
        ["room", "own"] => plug.state().room = None,
        ["room", bytes] => plug.state().room = Some(count(bytes)?),
        ["pin-flags", "own"] => plug.state().pin_flags = None,
        ["pin-flags", flags] => {
            plug.state().pin_flags = Some(codes::number(&[], flags).ok_or(format!("no flags in hexadecimal: {flags}"))?);
        }
        ["clock", "none"] => plug.state().refusals.no_clock = true,
        ["clock", "own"] => plug.state().refusals.no_clock = false,
        ["forged", "own"] => plug.state().forged = None,
        ["forged", code] => plug.state().forged = Some(return_code(code)?),
        ["calls"] => {
            let calls = chaos.faults.calls();
            let named = Function::ALL.iter().zip(calls).filter(|(_, n)| *n > 0);
            return Ok(named.map(|(function, n)| format!("{}={n}", function.name())).collect::<Vec<_>>().join(" "));
        }
        ["ivs"] => {
            let gcm = &plug.state().gcm;
            return Ok(format!("recorded={} repeated={}", gcm.recorded, gcm.repeated));
        }
        ["hanging"] => return Ok(chaos.faults.hanging().to_string()),
        _ => return Err(format!("no command: {line}")),
    }
    Ok(String::new())
}

fn rule(function: &str, effect: Effect, options: &[&str]) -> Result<Rule, String> {
    let named = |name: &str| Function::ALL.iter().copied().find(|f| f.name() == name).ok_or(format!("no function {name}"));
    let function = if function == "*" { None } else { Some(named(function)?) };
    let mut rule = Rule { function, effect, after: 0, times: None, chance: 1.0 };
    for option in options {
        match option.split_once('=') {
            Some(("after", n)) => rule.after = count(n)?,
            Some(("times", n)) => rule.times = Some(count(n)?),
            Some(("chance", p)) => rule.chance = p.parse().map_err(|e| format!("{p}: {e}"))?,
            None if *option == "late" && matches!(effect, Effect::FailLate(_)) => {}
            _ => return Err(format!("no option {option}")),
        }
    }
    Ok(rule)
}

fn attribute_is(name: &str, bytes: &str) -> Result<(u64, Vec<u8>), String> {
    let number = attribute_number(name)?;
    Ok((number, hex::decode(bytes).map_err(|e| format!("{bytes}: {e}"))?))
}

fn attribute_number(name: &str) -> Result<u64, String> {
    codes::number(codes::ATTRIBUTES, name).ok_or_else(|| format!("no attribute {name}"))
}

fn mechanism_number(name: &str) -> Result<u64, String> {
    codes::number(codes::MECHANISMS, name).ok_or_else(|| format!("no mechanism {name}"))
}

fn return_code(text: &str) -> Result<u64, String> {
    codes::number(codes::RETURN_CODES, text).ok_or_else(|| format!("no return code {text}"))
}

fn count<N: std::str::FromStr>(text: &str) -> Result<N, String>
where
    N::Err: std::fmt::Display,
{
    text.parse().map_err(|e| format!("{text}: {e}"))
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    count(text).map(Duration::from_millis)
}
