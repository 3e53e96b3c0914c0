// From a recipe to a model: tokenizer, data, a new model, the work of training it, and the folder that it becomes.
import Adapters
import Checkpoints
import Foundation
import JSON
import Models
import Tensors
import Tokenization
import TokenizerTraining
import TrainingData

/// A recipe brought to the point where training can begin.
public final class Pretraining {
  public let recipe: Recipe
  /// Where everything of the run lies.
  public let folder: String
  public let tokenizer: Tokenizer
  public let sizes: ModelSizes
  public let training, validation: CorpusPart
  public let work: any TrainingWork
  public let backend: CPUBackend
  /// Parameters of the model, each once.
  public let parameterCount: Int
  /// The model as it is now, prepared for writing text; nil for models that do not continue text.
  public let writer: (() throws -> Decoder)?
  private let save: (_ path: String) throws -> Void

  /// - Parameters:
  ///   - folder: gets the tokenizer, the tokens (`data/`), checkpoints and the model; made if it is not there.
  ///   - observe: told of the text that has been read, of how much; what it throws ends the work.
  /// - Throws: ``TrainingError``, `TrainingDataError`, `TokenizerError`, each naming what is wrong.
  public init(
    _ recipe: Recipe, folder: String, threads: Int? = nil, tokenizerAt load: (String) throws -> Tokenizer,
    observe: @escaping CorpusObserver = { _ in }
  ) throws {
    self.recipe = recipe
    self.folder = folder
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let backend = CPUBackend(threads: threads, precision: recipe.precision)
    self.backend = backend
    BufferPool.shared.keepForTraining()
    let files = try SourceFile.find(recipe.files)
    let tokenizer = try Self.tokenizer(recipe, folder, files, threads: backend.threadCount, load)
    self.tokenizer = tokenizer
    var options = recipe.corpus
    options.threads = backend.threadCount
    let corpus = try TokenCorpus.prepare(
      files, tokenizer: tokenizer, options: options, cache: folder + "/data", observer: observe)
    (training, validation) = try corpus.parts(validationFraction: recipe.validationShare)
    var sizes = recipe.sizes
    // Whole panels: a row of zeros more costs nothing.
    sizes.vocabulary = (tokenizer.vocabularyCount + 15) / 16 * 16
    self.sizes = sizes
    let checkpoint = try sizes.checkpoint(seed: recipe.seed)
    func batches(
      _ part: CorpusPart, _ objective: TrainingObjective, _ packing: PackedBatches.Packing
    ) throws -> any BatchSource<TrainingBatch> {
      try PackedBatches(
        part, sequenceLength: recipe.sequenceLength, rowsPerBatch: recipe.batch, seed: recipe.seed,
        objective: objective, packing: packing)
    }
    let (training, validation) = (training, validation)
    func assemble<Model: TrainableModel & AdaptableModel>(
      _ model: Model, _ objective: TrainingObjective
    ) throws -> (any TrainingWork, Int, TrainingState<Model>, (String) throws -> Void) {
      var model = model
      let parameters = try model.train()
      let state = TrainingState(
        model: model, parameters: parameters, optimizer: recipe.optimizer.optimizer(of: parameters))
      // What is held out is read from its beginning to its end, each token once.
      let work = ModelWork(
        state, data: try batches(training, objective, recipe.packing),
        validation: validation.tokenCount > 0 ? try batches(validation, objective, .documents) : nil,
        validationBatches: recipe.validationBatches, recomputation: recipe.recomputation)
      let save = { (path: String) in
        let whole = try Adapter(AdapterConfiguration(.full), in: model.withoutGradients()).merged(into: checkpoint)
        try ModelRegistry.folderWriter(for: whole).write(to: path) { inside in
          if FileManager.default.fileExists(atPath: folder + "/tokenizer.json") {
            try FileManager.default.copyItem(atPath: folder + "/tokenizer.json", toPath: inside + "/tokenizer.json")
          }
        }
      }
      return (work, parameters.reduce(0) { $0 + $1.tensor.shape.count }, state, save)
    }
    switch sizes.family {
    case .llama, .gpt2:
      let (work, count, state, save) = try assemble(Decoder(checkpoint, backend: backend), .nextToken)
      (self.work, parameterCount, self.save) = (work, count, save)
      writer = { try state.model.prepared() }
    case .bert:
      let objective = TrainingObjective.maskedTokens(try MaskedTokens(tokenizer))
      let (work, count, _, save) = try assemble(Encoder(checkpoint, backend: backend), objective)
      (self.work, parameterCount, self.save, writer) = (work, count, save, nil)
    case .t5:
      let objective = TrainingObjective.spanCorruption(try SpanCorruption(tokenizer, decoderStart: 0))
      let (work, count, _, save) = try assemble(EncoderDecoder(checkpoint, backend: backend), objective)
      (self.work, parameterCount, self.save, writer) = (work, count, save, nil)
    }
  }

  /// A tokenizer that is learnt is kept in the folder: a resumed run must not learn another.
  private static func tokenizer(
    _ recipe: Recipe, _ folder: String, _ files: [SourceFile], threads: Int, _ load: (String) throws -> Tokenizer
  ) throws -> Tokenizer {
    let own = folder + "/tokenizer.json"
    switch recipe.tokenizer {
    case .path(let path):
      if path.hasSuffix(".json"), !FileManager.default.fileExists(atPath: own) {
        try FileManager.default.copyItem(atPath: path, toPath: own)
      }
      return try load(path)
    case .trained(let kind, let vocabulary):
      if FileManager.default.fileExists(atPath: own) { return try load(own) }
      let masks = recipe.sizes.family == .bert
      var special = masks ? ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] : ["<|endoftext|>"]
      if recipe.sizes.family == .t5 { special = ["<pad>", "</s>", "<unk>"] + (0..<100).map { "<extra_id_\($0)>" } }
      let algorithm: TokenizerTrainer.Algorithm =
        switch kind {
        case "unigram": .unigram(normalizes: true)
        case "wordpiece": .wordPiece(lowercases: false)
        default: .byteLevelBPE(try BytePreTokenizer(named: BytePreTokenizer.gpt2.rawValue))
        }
      let trainer = try TokenizerTrainer(
        algorithm,
        options: TokenizerTraining.TrainingOptions(
          vocabularySize: vocabulary, minimumFrequency: 2, specialTokens: special, alphabetLimit: nil,
          threads: threads))
      let learnt = try plainText(of: files, recipe.corpus, folder) { try trainer.train(files: $0) { _ in } }
      let file = try AtomicFile(path: own)
      try learnt.json().withUnsafeBytes { try file.append($0) }
      try file.commit()
      return try load(own)
    }
  }

  /// Calls `body` with files whose bytes are the text: where these are records or compressed, with a copy of their text
  /// that lives until it returns.
  private static func plainText<Result>(
    of files: [SourceFile], _ options: CorpusOptions, _ folder: String, _ body: ([String]) throws -> Result
  ) throws -> Result {
    if try files.allSatisfy({ try $0.isPlainText() }) { return try body(files.map(\.path)) }
    let path = folder + "/tokenizer.txt"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let file = try AtomicFile(path: path)
    try SourceFile.forEachText(of: files, options: options) { try file.append($0) }
    try file.commit()
    return try body([path])
  }

  /// Bytes of text for a token, for bits per byte.
  public var bytesPerToken: Double { Double(validation.byteCount) / Double(max(1, validation.tokenCount)) }

  /// What decides the numbers of the run: a checkpoint of another is refused. Neither what is merely shown and kept, nor
  /// how long the run is to go on beyond what the schedule says.
  public var fingerprint: JSONValue {
    .object(.init(uniqueKeysWithValues: [
      ("model", .string("\(sizes)")), ("tokens", .int(training.tokenCount)),
      ("data", .string((training.corpus.path as NSString).lastPathComponent)), ("optimizer", .string("\(recipe.optimizer)")),
      ("schedule", .string("\(recipe.trainer.schedule)")), ("batch", .int(recipe.batch)),
      ("accumulate", .int(recipe.trainer.accumulation)), ("sequenceLength", .int(recipe.sequenceLength)),
      ("seed", .string("\(recipe.seed)")), ("precision", .string(recipe.precision.rawValue)),
      ("clip", .string("\(recipe.trainer.clip)")),
    ]))
  }

  /// Writes the model as a Hugging Face folder.
  public func save(to path: String) throws {
    let aside = path + ".new"
    try? FileManager.default.removeItem(atPath: aside)
    try save(aside)
    try? FileManager.default.removeItem(atPath: path)
    try FileManager.default.moveItem(atPath: aside, toPath: path)
  }

  public var plan: TrainingPlan { TrainingPlan(sizes: sizes, recipe: recipe, tokens: training.tokenCount) }
}
