//! Loads nothing, waits.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("attached");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
