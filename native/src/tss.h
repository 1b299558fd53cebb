// The TPM software stack (tpm2-tss), loaded at run time: one addon works with and without it installed. Its headers are
// needed to build; without them `SEALWRIGHT_TSS` is 0 and the addon says so when asked.
#pragma once

#if SEALWRIGHT_TSS
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tctildr.h>

namespace sealwright {

#define SEALWRIGHT_ESYS_FUNCTIONS(X)                                                                              \
  X(Esys_Initialize) X(Esys_Finalize) X(Esys_Free) X(Esys_StartAuthSession) X(Esys_TRSess_SetAttributes)          \
  X(Esys_FlushContext) X(Esys_TR_FromTPMPublic) X(Esys_TR_Close) X(Esys_TR_SetAuth) X(Esys_TR_GetName)            \
  X(Esys_ReadPublic) X(Esys_CreatePrimary) X(Esys_Create) X(Esys_Load) X(Esys_LoadExternal) X(Esys_EvictControl)  \
  X(Esys_ECDH_ZGen) X(Esys_Sign) X(Esys_Unseal) X(Esys_Quote) X(Esys_Certify) X(Esys_MakeCredential)              \
  X(Esys_ActivateCredential) X(Esys_PolicyPCR) X(Esys_PolicyAuthValue) X(Esys_PolicySecret)                       \
  X(Esys_PolicyGetDigest) X(Esys_NV_DefineSpace) X(Esys_NV_UndefineSpace) X(Esys_NV_ReadPublic) X(Esys_NV_Read)   \
  X(Esys_NV_Increment) X(Esys_GetCapability) X(Esys_PCR_Read)

#define SEALWRIGHT_MU_FUNCTIONS(X)                                                      \
  X(Tss2_MU_TPM2B_PUBLIC_Marshal) X(Tss2_MU_TPM2B_PUBLIC_Unmarshal)                     \
  X(Tss2_MU_TPM2B_PRIVATE_Marshal) X(Tss2_MU_TPM2B_PRIVATE_Unmarshal)

#define SEALWRIGHT_LOADER_FUNCTIONS(X) X(Tss2_TctiLdr_Initialize) X(Tss2_TctiLdr_Finalize)

/** The functions by their own names, with their own types. */
struct Tss {
#define SEALWRIGHT_DECLARE(name) decltype(&::name) name = nullptr;
  SEALWRIGHT_ESYS_FUNCTIONS(SEALWRIGHT_DECLARE)
  SEALWRIGHT_MU_FUNCTIONS(SEALWRIGHT_DECLARE)
  SEALWRIGHT_LOADER_FUNCTIONS(SEALWRIGHT_DECLARE)
#undef SEALWRIGHT_DECLARE
};

/** Loads the libraries once; null when one or a function of one is missing. Called on the main thread. */
const Tss* LoadTss();

}  // namespace sealwright
#endif
