// Which of a model's numbers a method trains.
import Layers
import Tensors

extension AdapterConfiguration {
  /// Whether a parameter of this model is trained: those that the adapter added, and parts that are trained as they
  /// are.
  ///
  /// For a visitor that makes leaves of them. What is trained must be `f32` in rows; ``Layers/ParameterRole/adapter``
  /// parameters are, others (of ``Method/bias``, ``Method/lastLayers(_:head:)``, ``Method/full`` and
  /// ``trainedParts``) are after ``apply(to:seed:modules:)``.
  public func trainedParameters(of model: some AdaptableModel) -> @Sendable (ModulePath, ParameterRole) -> Bool {
    let stacks = model.stacks, method = method, trained = trainedParts.filter { !$0.isEmpty }
    return { path, role in
      let name = path.description
      if trained.contains(where: { name == $0 || name.hasPrefix($0 + ".") }) { return true }
      switch method {
      case .lora, .ia3, .bottleneck, .prefix, .prompt: return role == .adapter
      case .full: return role != .adapter
      case .bias: return path.parts.last == "bias"
      case .lastLayers(let count, let head):
        if head, name == "head" || name == "head.bias" { return true }
        return stacks.contains { stack in
          guard name.hasPrefix(stack.prefix) else { return false }
          let own = name.dropFirst(stack.prefix.count).split(separator: ".")
          // The encoder's layers come before all of the decoder's.
          if stacks.count > 1, stack.prefix == stacks[0].prefix { return false }
          if own.first == "norm" { return true }
          return own.count > 1 && own[0] == "layers" && (Int(own[1]) ?? 0) >= stack.layers - count
        }
      }
    }
  }
}
