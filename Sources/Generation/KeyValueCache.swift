// What a model remembers of the sequences it has read. Pages are allocated as a sequence grows; nothing is reserved.
import Layers
import Tensors

/// The keys and values of one sequence. Used by one thread at a time.
public final class KeyValueCache {
  public let layout: PageLayout
  /// Tokens whose keys and values are held.
  public private(set) var count = 0
  fileprivate private(set) var pages: [Storage] = []

  public init(_ layout: PageLayout) {
    self.layout = layout
  }

  /// Makes room for `additional` tokens and counts them as held; the next forward pass writes them.
  fileprivate func extend(by additional: Int) {
    count += additional
    while pages.count * PageLayout.tokens < count { pages.append(.page(layout)) }
  }

  /// Forgets all but the first `count` tokens.
  public func truncate(to count: Int) {
    self.count = min(self.count, max(0, count))
    pages.removeLast(pages.count - (self.count + PageLayout.tokens - 1) / PageLayout.tokens)
  }
}

/// Attention for one forward pass over tokens of several cached sequences, end to end.
public final class PagedContext: AttentionContext {
  public let positions: [Int32]
  private let layout: PageLayout
  private let spans: [PagedAttention.Span]

  /// - Parameter parts: each sequence's cache and how many new tokens it brings; not empty, one layout.
  public init(_ parts: [(cache: KeyValueCache, tokens: Int)]) {
    layout = parts[0].cache.layout
    var positions: [Int32] = [], spans: [PagedAttention.Span] = []
    for (cache, tokens) in parts {
      let start = cache.count
      cache.extend(by: tokens)
      spans.append(.init(rows: positions.count..<positions.count + tokens, start: start, pages: cache.pages))
      for position in start..<start + tokens { positions.append(Int32(position)) }
    }
    self.positions = positions
    self.spans = spans
  }

  public func attend(_ layer: AttentionLayer, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor {
    let attention = PagedAttention(
      layout: layout, spans: spans, layer: layer.index, scale: layer.scale, window: layer.window,
      softCap: layer.softCap)
    return attention.attend(queries: queries, keys: keys, values: values)
  }
}
