//! Bodies in many short lines. Only line breaks and indentation are added: order, escapes and spelling stay as they were sent.

/// JSON, a member or an item on each line.
pub fn json(body: &str) -> String {
    let (mut out, mut depth, mut in_string, mut escaped) = (String::new(), 0_usize, false, false);
    let mut characters = body.chars().peekable();
    while let Some(c) = characters.next() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            out.push(c);
            continue;
        }
        match c {
            '{' | '[' if !matches!(characters.peek(), Some('}' | ']')) => {
                depth += 1;
                out.push(c);
                line(&mut out, depth);
            }
            '}' | ']' if !out.ends_with(['{', '[']) => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            _ => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out.push('\n');
    out
}

/// XML, an element on each line.
pub fn xml(body: &str) -> String {
    let (mut out, mut depth, mut opened) = (String::new(), 0_usize, false);
    for tag in body.replace("><", ">\0<").split('\0') {
        let closes = tag.starts_with("</");
        if closes {
            depth = depth.saturating_sub(1);
        }
        // An element without content stays on one line.
        if !(out.is_empty() || closes && opened) {
            line(&mut out, depth);
        }
        out.push_str(tag);
        opened = !tag.starts_with("<?") && !tag.contains("</") && !tag.ends_with("/>");
        if opened {
            depth += 1;
        }
    }
    out.push('\n');
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', depth));
}
