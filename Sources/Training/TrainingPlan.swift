// What a pretraining will take, before it begins.
import Layers
import Tensors

/// Parameters, operations, memory and time of a run.
public struct TrainingPlan: Sendable, Codable {
  /// Numbers that are learnt.
  public var parameters: Int
  /// Multiplications and additions for a token: forwards and twice that backwards, attention over half a row included.
  public var operationsPerToken: Double
  public var tokensPerStep: Int
  /// Of the whole run; nil where only time limits it.
  public var steps: Int?
  public var tokens: Int?
  /// Of the data, an epoch; nil where they have not been looked at.
  public var tokensOfData: Int?
  /// Weights, gradients and what the optimizer remembers.
  public var stateBytes: Int
  /// What a step keeps of the forward pass, about.
  public var activationBytes: Int
  /// Tokens for each parameter; about 20 spend a budget of operations best (Hoffmann et al. 2022).
  public var tokensPerParameter: Double?

  public init(sizes: ModelSizes, recipe: Recipe, tokens dataTokens: Int?) {
    let (width, hidden, layers) = (sizes.width, sizes.hiddenWidth, sizes.layers)
    let keyWidth = sizes.keyValueHeads * sizes.headWidth, isGated = sizes.family == .llama || sizes.family == .t5
    let attention = 2 * width * width + 2 * width * keyWidth, maps = (isGated ? 3 : 2) * width * hidden
    // An encoder–decoder has both stacks, the second with cross-attention.
    let perLayer = sizes.family == .t5 ? 3 * attention + 2 * maps : attention + maps
    let table = sizes.vocabulary * width
    let positions = sizes.family == .gpt2 || sizes.family == .bert ? sizes.contextLength * width : 0
    let all = layers * (perLayer + 2 * width) + width + table * (sizes.isTied ? 1 : 2) + positions
    parameters = all
    let length = recipe.sequenceLength
    operationsPerToken = 6 * Double(layers * perLayer + table) + 6 * Double(layers * length * width)
    let perStep = recipe.batch * length * recipe.trainer.accumulation
    tokensPerStep = perStep
    let isOpen = recipe.budget.steps == nil && recipe.budget.tokens == nil
    steps = isOpen ? nil : recipe.trainer.schedule.steps
    tokens = isOpen ? nil : recipe.trainer.schedule.steps * perStep
    tokensOfData = dataTokens
    stateBytes = parameters * 16
    // Of each token and layer: the residual stream twice, queries, keys, values, what attention gave, and of the
    // feed-forward layer what enters its activation.
    let kept = layers * (4 * width + 2 * keyWidth + (isGated ? 2 : 1) * hidden) * 4
    let perToken = switch recipe.recomputation {
    case .nothing: kept
    case .feedForward: kept - layers * (isGated ? 1 : 0) * hidden * 4
    case .layers: layers * width * 4 + kept / layers
    }
    activationBytes = recipe.batch * length * perToken + (64 << 20)
    tokensPerParameter = tokens.map { Double($0) / Double(all) }
  }

  /// Seconds at so many operations a second.
  public func seconds(operationsPerSecond: Double) -> Double? {
    tokens.map { Double($0) * operationsPerToken / operationsPerSecond }
  }
}
