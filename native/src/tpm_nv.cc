// What a TPM stores and says about itself: counters that only go up, certificates of its maker, properties.
#include "tpm_commands.h"

#if SEALWRIGHT_TSS
#include <algorithm>

namespace sealwright {
namespace {

/** Small enough for every TPM's NV buffer. */
constexpr UINT16 kReadSize = 512;
/** Larger than any certificate. */
constexpr size_t kMaxIndexSize = 8192;
constexpr UINT16 kCounterSize = 8;

constexpr TPMA_NV kCounterAttributes = (static_cast<TPMA_NV>(TPM2_NT_COUNTER) << TPMA_NV_TPM2_NT_SHIFT) |
                                       TPMA_NV_OWNERREAD | TPMA_NV_OWNERWRITE | TPMA_NV_AUTHREAD |
                                       TPMA_NV_AUTHWRITE | TPMA_NV_NO_DA;

/** The reference of an index. Its name covers its attributes, so later commands cannot be led to another. */
bool UseIndex(Connection& connection, TPM2_HANDLE index, ESYS_TR* handle) {
  if (connection.Check("find the index",
                       connection.tss.Esys_TR_FromTPMPublic(connection.esys, index, ESYS_TR_NONE, ESYS_TR_NONE,
                                                            ESYS_TR_NONE, handle))) {
    return true;
  }
  *handle = ESYS_TR_NONE;
  return false;
}

bool IsCounter(Connection& connection, ESYS_TR handle) {
  Owned<TPM2B_NV_PUBLIC> area(connection.tss);
  Owned<TPM2B_NAME> name(connection.tss);
  if (!connection.Check("describe the index",
                        connection.tss.Esys_NV_ReadPublic(connection.esys, handle, ESYS_TR_NONE, ESYS_TR_NONE,
                                                          ESYS_TR_NONE, &area.pointer, &name.pointer))) {
    return false;
  }
  const TPMA_NV type = (area->nvPublic.attributes & TPMA_NV_TPM2_NT_MASK) >> TPMA_NV_TPM2_NT_SHIFT;
  return type == TPM2_NT_COUNTER || connection.Check("check the counter", kUnsuitable);
}

bool ReadValue(Connection& connection, ESYS_TR handle, Response* response) {
  ESYS_TR session = ESYS_TR_NONE;
  Owned<TPM2B_MAX_NV_BUFFER> data(connection.tss);
  if (!connection.UseSession(TPMA_SESSION_ENCRYPT, &session) ||
      !connection.Check("read the counter",
                        connection.tss.Esys_NV_Read(connection.esys, handle, handle, session, ESYS_TR_NONE,
                                                    ESYS_TR_NONE, kCounterSize, 0, &data.pointer))) {
    return false;
  }
  if (data->size != kCounterSize) return connection.Check("read the counter", kBadResponse);
  response->emplace_back(data->buffer, data->size);
  return true;
}

bool Increment(Connection& connection, ESYS_TR handle) {
  ESYS_TR session = ESYS_TR_NONE;
  return connection.UseSession(0, &session) &&
         connection.Check("increment the counter",
                          connection.tss.Esys_NV_Increment(connection.esys, handle, handle, session, ESYS_TR_NONE,
                                                           ESYS_TR_NONE));
}

}  // namespace

/** index; parent name → value after the first increment, 8 bytes, big-endian */
bool DefineCounter(Connection& connection, Arguments arguments, Response* response) {
  TPM2B_NV_PUBLIC area = {};
  area.nvPublic.nvIndex = arguments.Number();
  area.nvPublic.nameAlg = TPM2_ALG_SHA256;
  area.nvPublic.attributes = kCounterAttributes;
  area.nvPublic.dataSize = kCounterSize;
  const TPM2B_AUTH no_auth = {};
  ESYS_TR session = ESYS_TR_NONE;
  Guard index(&connection, Guard::Kind::kClose);
  if (!connection.UsePrimary(arguments.Bytes()) || !connection.UseSession(TPMA_SESSION_DECRYPT, &session) ||
      !connection.Check("define the counter",
                        connection.tss.Esys_NV_DefineSpace(connection.esys, ESYS_TR_RH_OWNER, session, ESYS_TR_NONE,
                                                           ESYS_TR_NONE, &no_auth, &area, &index.handle))) {
    index.handle = ESYS_TR_NONE;
    return false;
  }
  // A counter can be read only once it has counted; it starts above every counter removed from this TPM.
  return Increment(connection, index.handle) && ReadValue(connection, index.handle, response);
}

/** index; parent name → value */
bool IncrementCounter(Connection& connection, Arguments arguments, Response* response) {
  Guard index(&connection, Guard::Kind::kClose);
  return connection.UsePrimary(arguments.Bytes()) && UseIndex(connection, arguments.Number(), &index.handle) &&
         IsCounter(connection, index.handle) && Increment(connection, index.handle) &&
         ReadValue(connection, index.handle, response);
}

/** index; parent name → value */
bool ReadCounter(Connection& connection, Arguments arguments, Response* response) {
  Guard index(&connection, Guard::Kind::kClose);
  return connection.UsePrimary(arguments.Bytes()) && UseIndex(connection, arguments.Number(), &index.handle) &&
         IsCounter(connection, index.handle) && ReadValue(connection, index.handle, response);
}

/** index; parent name → nothing */
bool RemoveCounter(Connection& connection, Arguments arguments, Response*) {
  Guard index(&connection, Guard::Kind::kClose);
  ESYS_TR session = ESYS_TR_NONE;
  if (!connection.UsePrimary(arguments.Bytes()) || !UseIndex(connection, arguments.Number(), &index.handle) ||
      !IsCounter(connection, index.handle) || !connection.UseSession(0, &session) ||
      !connection.Check("remove the counter",
                        connection.tss.Esys_NV_UndefineSpace(connection.esys, ESYS_TR_RH_OWNER, index.handle, session,
                                                             ESYS_TR_NONE, ESYS_TR_NONE))) {
    return false;
  }
  index.handle = ESYS_TR_NONE;  // ESYS let go of it together with the index
  return true;
}

/** group (TPM2_PT), count → pairs of property and value, 4 bytes each, big-endian */
bool ReadProperties(Connection& connection, Arguments arguments, Response* response) {
  const uint32_t first = arguments.Number(), count = arguments.Number();
  TPMI_YES_NO more = TPM2_NO;
  Owned<TPMS_CAPABILITY_DATA> data(connection.tss);
  if (!connection.Check("read properties", connection.tss.Esys_GetCapability(
                                               connection.esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                               TPM2_CAP_TPM_PROPERTIES, first, count, &more, &data.pointer))) {
    return false;
  }
  const TPML_TAGGED_TPM_PROPERTY& list = data->data.tpmProperties;
  std::vector<uint8_t> bytes;
  const auto append = [&bytes](uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(value >> shift));
  };
  for (UINT32 i = 0; i < list.count; i += 1) {
    append(list.tpmProperty[i].property);
    append(list.tpmProperty[i].value);
  }
  response->emplace_back(bytes.data(), bytes.size());
  return true;
}

/** first → handles of one type from there on, 4 bytes each, big-endian */
bool ListHandles(Connection& connection, Arguments arguments, Response* response) {
  const uint32_t first = arguments.Number();
  TPMI_YES_NO more = TPM2_NO;
  Owned<TPMS_CAPABILITY_DATA> data(connection.tss);
  if (!connection.Check("list handles", connection.tss.Esys_GetCapability(
                                            connection.esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                            TPM2_CAP_HANDLES, first, TPM2_MAX_CAP_HANDLES, &more, &data.pointer))) {
    return false;
  }
  const TPML_HANDLE& list = data->data.handles;
  std::vector<uint8_t> bytes;
  for (UINT32 i = 0; i < list.count; i += 1) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(list.handle[i] >> shift));
  }
  response->emplace_back(bytes.data(), bytes.size());
  return true;
}

bool ReadIndex(Connection& connection, TPM2_HANDLE index, std::vector<uint8_t>* content) {
  const Tss& tss = connection.tss;
  Guard reference(&connection, Guard::Kind::kClose);
  if (tss.Esys_TR_FromTPMPublic(connection.esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                &reference.handle) != TSS2_RC_SUCCESS) {
    reference.handle = ESYS_TR_NONE;
    return true;  // not there: no content
  }
  Owned<TPM2B_NV_PUBLIC> area(tss);
  Owned<TPM2B_NAME> name(tss);
  if (!connection.Check("describe the index", tss.Esys_NV_ReadPublic(connection.esys, reference.handle, ESYS_TR_NONE,
                                                                     ESYS_TR_NONE, ESYS_TR_NONE, &area.pointer,
                                                                     &name.pointer))) {
    return false;
  }
  const size_t size = std::min<size_t>(area->nvPublic.dataSize, kMaxIndexSize);
  while (content->size() < size) {
    const auto part = static_cast<UINT16>(std::min<size_t>(kReadSize, size - content->size()));
    Owned<TPM2B_MAX_NV_BUFFER> data(tss);
    if (!connection.Check("read the index",
                          tss.Esys_NV_Read(connection.esys, reference.handle, reference.handle, ESYS_TR_PASSWORD,
                                           ESYS_TR_NONE, ESYS_TR_NONE, part, static_cast<UINT16>(content->size()),
                                           &data.pointer))) {
      return false;
    }
    if (data->size != part) return connection.Check("read the index", kBadResponse);
    content->insert(content->end(), data->buffer, data->buffer + data->size);
  }
  return true;
}

}  // namespace sealwright
#endif
