//! A throw-away SoftHSM token, for the programs that call PKCS#11 themselves. SoftHSM's configuration is in their environment.

use bulla::token::softhsm;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::floor::Failure;

/// A new token of this name: the library, its slot, and the session that holds the login.
///
/// # Errors
/// What SoftHSM says.
pub fn make(name: &str) -> Result<(Pkcs11, Slot, Session), Failure> {
    let pkcs11 = Pkcs11::new(softhsm::module().ok_or("SoftHSM is not installed")?)?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let pin = AuthPin::new("throw-away".into());
    let slot = pkcs11.get_slots_with_token()?.into_iter().next().ok_or("no slot")?;
    pkcs11.init_token(slot, &pin, name)?;
    let made = |slot: &Slot| pkcs11.get_token_info(*slot).is_ok_and(|info| info.token_initialized());
    let slot = pkcs11.get_slots_with_token()?.into_iter().find(made).ok_or("no token")?;
    let anchor = pkcs11.open_rw_session(slot)?;
    anchor.login(UserType::So, Some(&pin))?;
    anchor.init_pin(&pin)?;
    anchor.logout()?;
    anchor.login(UserType::User, Some(&pin))?;
    Ok((pkcs11, slot, anchor))
}
