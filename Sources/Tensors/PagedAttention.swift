// The key-value cache as the attention kernel sees it: pages of 64 tokens that sequences refer to by number.
import CKernels

/// How numbers of a key-value cache are stored.
public enum CacheType: String, Sendable, CaseIterable, Codable {
  /// 16-bit codes with an f32 scale per key or value.
  case i16
  /// 8-bit codes with a factor per 32 numbers and an f32 scale per key or value.
  case q8_0
}

/// The size and inner layout of a cache page: for each layer and each key-value head, the codes of 64 tokens' keys,
/// then of their values, then their scales and factors (`CKernels/pages.h` has the order of codes).
public struct PageLayout: Sendable, Equatable {
  /// Tokens in a page. Attention sums page by page, so this is part of what a result's bits depend on.
  public static let tokens = 64

  public let layers: Int
  public let heads: Int
  /// Numbers in a key or a value; a multiple of 16.
  public let headWidth: Int
  public let type: CacheType

  public init(layers: Int, heads: Int, headWidth: Int, type: CacheType) {
    self.layers = layers
    self.heads = heads
    self.headWidth = headWidth
    self.type = type
  }

  private var codeBytes: Int { Self.tokens * headWidth * (type == .i16 ? 2 : 1) }
  private var scaleBytes: Int { Self.tokens * MemoryLayout<Float>.size }
  private var factorBytes: Int { type == .i16 ? 0 : Self.tokens * ((headWidth + 31) / 32) * 2 }
  /// Bytes of one head's part of a page.
  var bytesPerHead: Int { 2 * (codeBytes + scaleBytes + factorBytes) }

  /// Bytes of one page.
  public var bytesPerPage: Int { layers * heads * bytesPerHead }

  /// Bytes that `tokens` tokens of one sequence take.
  public func bytes(forTokens tokens: Int) -> Int { (tokens + Self.tokens - 1) / Self.tokens * bytesPerPage }

  /// Where one head's keys, values and their scales are.
  func part(of page: Storage, layer: Int, head: Int) -> mk_page {
    let keys = page.bytes.baseAddress! + (layer * heads + head) * bytesPerHead, scales = keys + 2 * codeBytes
    let factors = type == .i16 ? nil : scales + 2 * scaleBytes
    return mk_page(
      keys: keys, values: keys + codeBytes,
      key_scales: scales.assumingMemoryBound(to: Float.self),
      value_scales: (scales + scaleBytes).assumingMemoryBound(to: Float.self),
      key_factors: factors?.assumingMemoryBound(to: UInt16.self),
      value_factors: factors.map { ($0 + factorBytes).assumingMemoryBound(to: UInt16.self) })
  }
}

extension Storage {
  /// A page of zeros: attention multiplies what it does not see by zero, so a page never holds chance bits.
  public static func page(_ layout: PageLayout) -> Storage {
    let storage = Storage(byteCount: layout.bytesPerPage)
    storage.bytes.initializeMemory(as: UInt8.self, repeating: 0)
    return storage
  }
}

/// Attention of one layer for tokens of several sequences laid end to end.
public struct PagedAttention: Sendable {
  /// Neighbouring rows of the flat token axis that belong to one sequence.
  public struct Span: Sendable {
    /// Rows of the flat token axis.
    public var rows: Range<Int>
    /// The position in its sequence of the first row.
    public var start: Int
    /// The sequence's pages, with room for all rows.
    public var pages: [Storage]

    public init(rows: Range<Int>, start: Int, pages: [Storage]) {
      self.rows = rows
      self.start = start
      self.pages = pages
    }
  }

  public var layout: PageLayout
  public var spans: [Span]
  public var layer: Int
  /// What the dot product of query and key is multiplied with.
  public var scale: Float
  /// How many of the latest positions a query sees, its own included; nil for all.
  public var window: Int?
  /// Scores are bent to stay within ± this (Gemma 2).
  public var softCap: Float?

  public init(layout: PageLayout, spans: [Span], layer: Int, scale: Float, window: Int?, softCap: Float? = nil) {
    self.layout = layout
    self.spans = spans
    self.layer = layer
    self.scale = scale
    self.window = window
    self.softCap = softCap
  }

  /// The positions that the query at `position` sees.
  func visible(from position: Int) -> Range<Int> {
    max(0, position + 1 - (window ?? position + 1))..<position + 1
  }
}

extension PagedAttention {
  /// A span and the positions of its sequence that its rows see, as they lie end to end in a copy of the cache.
  struct Seen {
    var span: Span
    var positions: Range<Int>
    /// The place of the first position.
    var offset: Int
  }

  /// What each span sees, in order.
  var seen: [Seen] {
    var offset = 0
    return spans.map { span in
      let positions = visible(from: span.start).lowerBound..<span.start + span.rows.count
      defer { offset += positions.count }
      return Seen(span: span, positions: positions, offset: offset)
    }
  }

  /// The same attention over a copy of what is seen.
  var dense: DenseAttention {
    DenseAttention(
      spans: seen.map {
        DenseAttention.Span(
          queries: $0.span.rows, keys: $0.offset..<$0.offset + $0.positions.count,
          start: $0.span.start - $0.positions.lowerBound)
      }, scale: scale, before: window.map { $0 - 1 }, after: 0, softCap: softCap)
  }

  /// The places of this call's own keys in a copy of what is seen, `[T]`.
  var ownPlaces: [Int32] {
    seen.flatMap { part in (0..<part.span.rows.count).map { Int32(part.offset + part.span.start - part.positions.lowerBound + $0) } }
  }
}
