/** Result codes of PKCS#11 (v2.40, 5.1) as refusals. */
import pkcs11 from "pkcs11js"
import { AppError, type ErrorCode } from "../../../contract/errors.ts"

export function toTokenError(error: unknown): AppError {
  if (error instanceof AppError) return error
  if (!(error instanceof pkcs11.Pkcs11Error))
    return new AppError("TOKEN_FAILED", "the PKCS#11 module failed", { cause: error })
  const [code, fact] = KNOWN.get(error.code) ?? ["TOKEN_FAILED", "the token refused"]
  return new AppError(code, `${fact} (${error.method}, 0x${error.code.toString(16)})`, { cause: error })
}

const KNOWN: ReadonlyMap<number, readonly [ErrorCode, string]> = new Map<
  number,
  readonly [ErrorCode, string]
>([
  [pkcs11.CKR_PIN_INCORRECT, ["TOKEN_PIN_WRONG", "the PIN is wrong"]],
  [pkcs11.CKR_PIN_LEN_RANGE, ["TOKEN_PIN_WRONG", "the PIN has a length the token does not allow"]],
  [pkcs11.CKR_PIN_INVALID, ["TOKEN_PIN_WRONG", "the PIN has characters the token does not allow"]],
  [pkcs11.CKR_PIN_LOCKED, ["TOKEN_PIN_LOCKED", "the token's PIN is locked"]],
  [pkcs11.CKR_PIN_EXPIRED, ["TOKEN_PIN_LOCKED", "the token's PIN has expired"]],
  [pkcs11.CKR_USER_PIN_NOT_INITIALIZED, ["TOKEN_PIN_LOCKED", "the token has no user PIN yet"]],
  [pkcs11.CKR_TOKEN_NOT_PRESENT, ["TOKEN_REMOVED", "the token is not present"]],
  [pkcs11.CKR_DEVICE_REMOVED, ["TOKEN_REMOVED", "the token was removed"]],
  [pkcs11.CKR_SESSION_HANDLE_INVALID, ["TOKEN_REMOVED", "the token has ended the session"]],
  [pkcs11.CKR_SESSION_CLOSED, ["TOKEN_REMOVED", "the token has ended the session"]],
  [pkcs11.CKR_SLOT_ID_INVALID, ["TOKEN_REMOVED", "the token's slot is gone"]],
  [pkcs11.CKR_TOKEN_WRITE_PROTECTED, ["TOKEN_READ_ONLY", "the token cannot be written to"]],
  [pkcs11.CKR_SESSION_READ_ONLY, ["TOKEN_READ_ONLY", "the token cannot be written to"]],
  [pkcs11.CKR_MECHANISM_INVALID, ["TOKEN_UNSUITABLE", "the token does not know the mechanism"]],
  [
    pkcs11.CKR_MECHANISM_PARAM_INVALID,
    ["TOKEN_UNSUITABLE", "the token does not do the mechanism with these parameters"],
  ],
  [pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED, ["TOKEN_UNSUITABLE", "the key may not be used for this"]],
  [pkcs11.CKR_KEY_TYPE_INCONSISTENT, ["TOKEN_UNSUITABLE", "the key is of another type"]],
  [pkcs11.CKR_FUNCTION_NOT_SUPPORTED, ["TOKEN_UNSUITABLE", "the token does not offer the function"]],
])
