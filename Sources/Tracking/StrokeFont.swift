// Letters for pictures, drawn as a pen would, so that no font is needed and any size is smooth.
import Foundation

enum StrokeFont {
  static let capitalHeight = 6.0

  /// Each character's strokes, of points x y: 0 … 4 from the left, 0 … 8 from the top, capitals standing on 6.
  private static let glyphs: [Character: [[SIMD2<Double>]]] = {
    let descriptions = """
      ! 0004 0606
      " 0002 2022
      # 1016 3036 0242 0444
      $ 413010010213334445361605 2026
      % 4006 0010110100 3545463635
      & 4612112031320405162644
      ' 0002
      ( 10010516
      ) 00111506
      * 2125 0244 0442
      + 2125 0343
      , 1607
      - 0333
      . 0606
      / 0640
      0 103041453616050110
      1 112026 1636
      2 01103041420646
      3 01103041423323 334445361605
      4 36300444
      5 40000312324345361605
      6 413010010516364544331304
      7 00404116
      8 13020110304142331304051636454433
      9 051636454130100102133342
      : 0303 0606
      ; 1313 1607
      < 310335
      = 0242 0444
      > 013305
      ? 01103041422324 2626
      @ 453616050110304144342213243444
      A 062046 1434
      B 00063645443303 3342413000
      C 4130100105163645
      D 00062644422000
      E 40000646 0333
      F 400006 0333
      G 41301001051636454323
      H 0006 4046 0343
      I 0020 0626 1016
      J 4045361605
      K 0006 4004 2246
      L 000646
      M 0600234046
      N 06004640
      O 103041453616050110
      P 06003041423303
      Q 103041453616050110 2446
      R 06003041423303 2346
      S 413010010213334445361605
      T 0040 2026
      U 000516364540
      V 002640
      W 0016223640
      X 0046 4006
      Y 002340 2326
      Z 00400646
      [ 10000616
      \\ 0046
      ] 00101606
      ^ 022042
      _ 0747
      ` 0011
      a 12324346 441405163645
      b 0006 0312324345361605
      c 4332120305163645
      d 4046 4332120305163645
      e 04444332120305163645
      f 30201116 0222
      g 4247381807 4332120305163645
      h 0006 0312324346
      i 0206 0000
      j 121708 1010
      k 0006 3205 1436
      l 000516
      m 0206 03122326 23324346
      n 0206 0312324346
      o 123243453616050312
      p 0208 0312324345361605
      q 4248 4332120305163645
      r 0206 031232
      s 43321203143445361605
      t 10152636 0232
      u 0205163645 4246
      v 022642
      w 0216233642
      x 0246 4206
      y 0226 421808
      z 02420646
      { 20111203141526
      | 0007
      } 00111223141506
      ~ 04133443
      """
    var glyphs: [Character: [[SIMD2<Double>]]] = [" ": []]
    for line in descriptions.split(separator: "\n") {
      guard let character = line.first else { continue }
      glyphs[character] = line.dropFirst().split(separator: " ").map { stroke in
        let digits = stroke.compactMap(\.wholeNumberValue).map(Double.init)
        return Swift.stride(from: 0, to: digits.count - 1, by: 2).map { SIMD2(digits[$0], digits[$0 + 1]) }
      }
    }
    return glyphs
  }()

  /// How far the next character is; digits are equally wide.
  private static func advance(_ character: Character) -> Double {
    if character == " " { return 3.5 }
    if character.isNumber { return 6 }
    return ((glyphs[character] ?? []).joined().map(\.x).max() ?? 0) + 2
  }

  /// In letters that there are here: 말모이 becomes malmo-i, and what has no such form a question mark.
  static func written(_ text: String) -> String {
    if text.allSatisfy({ glyphs[$0] != nil }) { return text }
    let latin = text.applyingTransform(.toLatin, reverse: false)?.applyingTransform(.stripDiacritics, reverse: false)
    return String((latin ?? text).map { glyphs[$0] == nil ? "?" : $0 })
  }

  /// What is ``written(_:)``, cut to a width.
  static func fitted(_ text: String, to room: Double) -> String {
    var written = written(text)
    guard width(written) > room else { return written }
    while !written.isEmpty, width(written + "..") > room { written.removeLast() }
    return written + ".."
  }

  /// The width of a text that was ``written(_:)``, for capitals of height 6.
  static func width(_ text: String) -> Double { max(0, text.reduce(0) { $0 + advance($1) } - 2) }

  static func lines(_ text: String) -> [[SIMD2<Double>]] {
    var x = 0.0
    return text.flatMap { character -> [[SIMD2<Double>]] in
      defer { x += advance(character) }
      return (glyphs[character] ?? []).map { stroke in stroke.map { $0 + SIMD2(x, 0) } }
    }
  }
}
