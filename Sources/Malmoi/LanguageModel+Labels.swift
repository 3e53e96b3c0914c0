// Choosing among given answers: how likely each is, rather than what the model would write.
import Generation
import Models
import Tokenization

extension LanguageModel {
  /// How much likelier each continuation is after a text than after another that says nothing (domain-conditional
  /// pointwise mutual information, Holtzman et al. 2021), in natural logarithms.
  /// - Parameters:
  ///   - besides: nil to give plain likelihoods.
  /// - Throws: `GenerationError` where a text with its continuation is longer than the context.
  public func likelihoods(
    of continuations: [String], after text: String, besides: String? = nil
  ) throws(GenerationError) -> [Double] {
    var result: [Double] = []
    for continuation in continuations {
      var likelihood = try logProbability(of: continuation, after: text)
      if let besides { likelihood -= try logProbability(of: continuation, after: besides) }
      result.append(likelihood)
    }
    return result
  }

  private func logProbability(of continuation: String, after text: String) throws(GenerationError) -> Double {
    let before = tokenizer.encode(text)
    let added = tokenizer.encode(continuation, addsBoundaryTokens: false)
    let scores = try decoder.score(before + added)
    return scores.suffix(added.count).reduce(0) { $0 + Double($1.logProbability ?? 0) }
  }
}
