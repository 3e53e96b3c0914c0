// Reference token ids from llama.cpp: llama_ids MODEL.gguf PRE|- PARSE_SPECIAL ADD_SPECIAL IN OUT
// IN holds texts and OUT token lists, each after its length as a 32-bit integer. PRE overrides tokenizer.ggml.pre.
// Prints the end-of-generation ids. Build:
//   g++ -O2 llama_ids.cpp -Iinclude -Iggml/include -Lbuild/bin -lllama -o llama_ids
#include "llama.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

int main(int argc, char ** argv) {
  if (argc != 7) return 2;
  llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  llama_backend_init();
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  llama_model_kv_override overrides[2] = {};
  if (strcmp(argv[2], "-") != 0) {
    strcpy(overrides[0].key, "tokenizer.ggml.pre");
    overrides[0].tag = LLAMA_KV_OVERRIDE_TYPE_STR;
    strncpy(overrides[0].val_str, argv[2], sizeof overrides[0].val_str - 1);
    params.kv_overrides = overrides;
  }
  llama_model * model = llama_model_load_from_file(argv[1], params);
  if (!model) return 1;
  const llama_vocab * vocab = llama_model_get_vocab(model);
  std::ifstream in(argv[5], std::ios::binary);
  std::ofstream out(argv[6], std::ios::binary);
  uint32_t length;
  std::string text;
  std::vector<llama_token> ids;
  while (in.read((char *) &length, 4)) {
    text.resize(length);
    in.read(&text[0], length);
    ids.resize(4 * length + 8);
    const int count = llama_tokenize(vocab, text.data(), length, ids.data(), ids.size(), atoi(argv[4]), atoi(argv[3]));
    if (count < 0) return 1;
    out.write((const char *) &count, 4);
    out.write((const char *) ids.data(), 4 * count);
  }
  for (int id = 0; id < llama_vocab_n_tokens(vocab); id++)
    if (llama_vocab_is_eog(vocab, id)) printf("%d ", id);
}
