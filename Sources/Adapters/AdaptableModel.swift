// What the three skeletons have in common for adapters: a place for virtual tokens, and parts to be visited.
import Layers
import Models
import Tensors

/// A model that adapters can be put into.
public protocol AdaptableModel: Module {
  var backend: any Backend { get }
  var embedding: Embedding { get set }
  /// Where learnt keys and values are: of the half that writes, where there are two.
  var learntPrefix: Prefix? { get set }
  static var prefixPath: String { get }
  /// Layers that a prefix has keys and values for, heads of a key, and its numbers of all heads.
  var prefixSizes: (layers: Int, heads: Int, width: Int) { get }
  var vocabularySize: Int { get }
  /// What words' vectors are multiplied with.
  var wordScale: Float { get }
  /// The model's task as PEFT calls it.
  var taskType: String { get }
  /// Layers of each stack, by the beginning of their paths, with the paths of the norms after them.
  var stacks: [(prefix: String, layers: Int)] { get }
}

extension Decoder: AdaptableModel {
  public var taskType: String { "CAUSAL_LM" }
  public var learntPrefix: Prefix? {
    get { prefix }
    set { prefix = newValue }
  }
  public static var prefixPath: String { "prefix" }
  public var prefixSizes: (layers: Int, heads: Int, width: Int) {
    (layers.count, configuration.layer.keyValueHeads, configuration.layer.keyWidth)
  }
  public var vocabularySize: Int { configuration.vocabulary }
  public var wordScale: Float { configuration.embeddingScale }
  public var stacks: [(prefix: String, layers: Int)] { [("", layers.count)] }
}

extension Encoder: AdaptableModel {
  public var taskType: String { classifier?.output == nil ? "FEATURE_EXTRACTION" : "SEQ_CLS" }
  public var learntPrefix: Prefix? {
    get { prefix }
    set { prefix = newValue }
  }
  public static var prefixPath: String { "prefix" }
  public var prefixSizes: (layers: Int, heads: Int, width: Int) {
    (layers.count, configuration.layer.keyValueHeads, configuration.layer.keyWidth)
  }
  public var vocabularySize: Int { configuration.vocabulary }
  public var wordScale: Float { 1 }
  public var stacks: [(prefix: String, layers: Int)] { [("", layers.count)] }
}

extension EncoderDecoder: AdaptableModel {
  public var taskType: String { "SEQ_2_SEQ_LM" }
  public var learntPrefix: Prefix? {
    get { decoder.prefix }
    set { decoder.prefix = newValue }
  }
  public static var prefixPath: String { "decoder.prefix" }
  public var prefixSizes: (layers: Int, heads: Int, width: Int) {
    let layer = configuration.decoder.layer
    return (decoder.layers.count, layer.keyValueHeads, layer.keyWidth)
  }
  public var vocabularySize: Int { configuration.vocabulary }
  public var wordScale: Float { configuration.embeddingScale }
  public var stacks: [(prefix: String, layers: Int)] {
    [("encoder.", encoder.layers.count), ("decoder.", decoder.layers.count)]
  }
}

extension LayerConfiguration {
  /// Numbers of a token's keys, of all heads.
  fileprivate var keyWidth: Int { keyValueHeads * headWidth }
}

/// The parts of a model, listed by one visit.
final class ModelParts: ModuleVisitor {
  struct Slot {
    var path: ModulePath
    var projection: any Projection
    var name: String { path.description }
    /// Whether it is within a layer; heads are not among what adapters mean by all.
    var isInLayer: Bool { path.parts.contains("layers") }
  }

  struct Parameter {
    var path: ModulePath
    var role: ParameterRole
    var tensor: Tensor
    var name: String { path.description }
  }

  private(set) var slots: [Slot] = []
  private(set) var parameters: [Parameter] = []

  init(_ model: some Module) throws {
    var model = model
    try model.visit(self, at: ModulePath())
  }

  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) {
    parameters.append(Parameter(path: path, role: role, tensor: parameter))
  }

  func visit(_ projection: inout any Projection, at path: ModulePath) throws {
    slots.append(Slot(path: path, projection: projection))
    try projection.visit(self, at: path)
  }
}
