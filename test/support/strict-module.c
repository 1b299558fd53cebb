// SoftHSM behind a module that is stricter than SoftHSM can be: chosen when this is compiled, PINs are LOCKED (and the token
// says so), a login LOCKS (it does not say so), the token is READ_ONLY, a mechanism is MISSING from its list, or it is there
// and its parameters are REFUSED when something is to be signed.
#include <dlfcn.h>
#include <stddef.h>

#include "pkcs11.h"

static CK_FUNCTION_LIST ours;
static CK_FUNCTION_LIST_PTR theirs;

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info) {
  const CK_RV rv = theirs->C_GetTokenInfo(slot, info);
#ifdef LOCKED
  info->flags |= CKF_USER_PIN_LOCKED;
#endif
#ifdef READ_ONLY
  info->flags |= CKF_WRITE_PROTECTED;
#endif
  return rv;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG size) {
#ifdef LOCKS
  (void)session, (void)user, (void)pin, (void)size;
  return CKR_PIN_LOCKED;
#else
  return theirs->C_Login(session, user, pin, size);
#endif
}

static CK_RV get_mechanism_list(CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR count) {
  const CK_RV rv = theirs->C_GetMechanismList(slot, list, count);
#ifdef MISSING
  for (CK_ULONG i = 0; rv == CKR_OK && list != NULL && i < *count; i++) {
    if (list[i] == MISSING) list[i] = CKM_MD5;
  }
#endif
  return rv;
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key) {
#ifdef REFUSED
  if (mechanism->mechanism == REFUSED) return CKR_MECHANISM_PARAM_INVALID;
#endif
  return theirs->C_SignInit(session, mechanism, key);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
  if (theirs == NULL) {
    void* module = dlopen(MODULE, RTLD_NOW);
    CK_C_GetFunctionList find = module == NULL ? NULL : (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList");
    if (find == NULL || find(&theirs) != CKR_OK) return CKR_GENERAL_ERROR;
    ours = *theirs;
    ours.C_GetTokenInfo = get_token_info;
    ours.C_GetMechanismList = get_mechanism_list;
    ours.C_Login = login;
    ours.C_SignInit = sign_init;
  }
  *list = &ours;
  return CKR_OK;
}
