{
  "targets": [
    {
      "target_name": "sealwright",
      "sources": ["src/addon.cc", "src/chunks.cc", "src/payload.cc", "src/trace.cc"],
      "defines": ["NAPI_VERSION=9"],
      "cflags_cc": ["-std=c++20", "-O3", "-Wall", "-Wextra", "-fvisibility=hidden"],
      "cflags_cc!": ["-fno-rtti"],
      "xcode_settings": { "CLANG_CXX_LANGUAGE_STANDARD": "c++20", "GCC_OPTIMIZATION_LEVEL": "3" },
      "msvs_settings": { "VCCLCompilerTool": { "AdditionalOptions": ["/std:c++20"] } }
    }
  ]
}
