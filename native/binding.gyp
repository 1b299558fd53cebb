{
  "targets": [
    {
      "target_name": "sealwright",
      "sources": [
        "src/addon.cc",
        "src/chunks.cc",
        "src/sha256.cc",
        "src/batch.cc",
        "src/payload.cc",
        "src/peer.cc",
        "src/tss.cc",
        "src/tpm.cc",
        "src/tpm_connection.cc",
        "src/tpm_keys.cc",
        "src/tpm_attest.cc",
        "src/tpm_nv.cc",
        "src/lockdown.cc",
        "src/trace.cc",
        "src/mark.cc"
      ],
      "defines": ["NAPI_VERSION=9", "SEALWRIGHT_TSS=<!(node -p \"process.env.SEALWRIGHT_TSS??0\")"],
      "cflags_cc": ["-std=c++20", "-O3", "-Wall", "-Wextra", "-fvisibility=hidden"],
      "cflags_cc!": ["-fno-rtti"],
      "xcode_settings": { "CLANG_CXX_LANGUAGE_STANDARD": "c++20", "GCC_OPTIMIZATION_LEVEL": "3" },
      "msvs_settings": { "VCCLCompilerTool": { "AdditionalOptions": ["/std:c++20"] } }
    }
  ],
  "conditions": [
    ["OS=='linux'", {
      "targets": [
        {
          "target_name": "sealheap",
          "type": "loadable_module",
          "product_prefix": "lib",
          "sources": ["src/secret_heap.c"],
          "cflags_c": [
            "-std=gnu11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden",
            "-fno-builtin-malloc", "-fno-builtin-calloc", "-fno-builtin-realloc", "-fno-builtin-free"
          ]
        },
        {
          "target_name": "sealwright-runtime",
          "type": "executable",
          "sources": ["src/launcher.c", "src/tracer_guard.c"],
          "cflags_c": ["-std=gnu11", "-O2", "-Wall", "-Wextra"],
          "conditions": [
            # Static where the C library can be: nothing of the machine's then runs before the restrictions.
            ["'<!(cc -print-file-name=libc.a)'!='libc.a'", { "ldflags": ["-static"] }]
          ]
        }
      ]
    }]
  ]
}
