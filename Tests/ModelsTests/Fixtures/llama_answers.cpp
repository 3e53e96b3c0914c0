// What llama.cpp answers: llama_answers MODEL.gguf OUT TOKENS [DECODER_TOKENS]
// TOKENS are numbers with commas between. OUT gets float32: the logits [tokens, vocabulary] of a decoder, or of the
// decoder's tokens of an encoder-decoder; the states [tokens, width] of an encoder. Built by check_llamacpp.py.
#include "llama.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

static std::vector<llama_token> numbers(const char * text) {
  std::vector<llama_token> result;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) result.push_back(std::atoi(part.c_str()));
  return result;
}

static llama_batch batch_of(const std::vector<llama_token> & tokens) {
  llama_batch batch = llama_batch_init((int32_t) tokens.size(), 0, 1);
  batch.n_tokens = (int32_t) tokens.size();
  for (size_t i = 0; i < tokens.size(); i++) {
    batch.token[i] = tokens[i];
    batch.pos[i] = (llama_pos) i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  return batch;
}

int main(int argc, char ** argv) {
  if (argc < 4) return 2;
  llama_log_set([](ggml_log_level level, const char * text, void *) {
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
  }, nullptr);
  llama_backend_init();
  llama_model_params model_params = llama_model_default_params();
  model_params.use_extra_bufts = false;
  llama_model * model = llama_model_load_from_file(argv[1], model_params);
  if (!model) return 1;
  const bool encodes = llama_model_has_encoder(model), decodes = llama_model_has_decoder(model) && argc > 4;
  std::vector<llama_token> tokens = numbers(argv[3]), answer = argc > 4 ? numbers(argv[4]) : tokens;

  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = params.n_ubatch = 128;
  params.n_threads = params.n_threads_batch = 1;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.type_k = params.type_v = GGML_TYPE_F32;
  char architecture[64] = "", causal[16] = "";
  llama_model_meta_val_str(model, "general.architecture", architecture, sizeof architecture);
  llama_model_meta_val_str(model, (std::string(architecture) + ".attention.causal").c_str(), causal, sizeof causal);
  const bool reads = std::string(causal) == "false";
  if (reads) {
    params.embeddings = true;
    params.pooling_type = LLAMA_POOLING_TYPE_NONE;
  }
  llama_context * context = llama_init_from_model(model, params);
  if (!context) return 1;
  if (encodes && decodes && llama_encode(context, batch_of(tokens))) return 1;
  const std::vector<llama_token> & last = encodes && decodes ? answer : tokens;
  if (reads ? llama_encode(context, batch_of(last)) : llama_decode(context, batch_of(last))) return 1;

  FILE * out = fopen(argv[2], "wb");
  if (!out) return 1;
  const size_t width = reads ? llama_model_n_embd(model) : llama_vocab_n_tokens(llama_model_get_vocab(model));
  for (size_t i = 0; i < last.size(); i++) {
    const float * row = reads ? llama_get_embeddings_ith(context, (int32_t) i) : llama_get_logits_ith(context, (int32_t) i);
    if (!row || fwrite(row, sizeof(float), width, out) != width) return 1;
  }
  return fclose(out) == 0 ? 0 : 1;
}
