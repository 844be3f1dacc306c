/// Durations as configuration and command line write them: `500ms`, `90s`, `1h30m`, `2d`.
public enum DurationText {
  /// Seconds; nil when the text is no duration, and `complaint` says why in words that follow the text.
  public static func seconds(_ text: String) -> (seconds: Double?, complaint: String, hint: String?) {
    do throws(ScalarComplaint) {
      return (Double(try readDuration(text)) / 1e9, "", nil)
    } catch { return (nil, error.text, error.hint) }
  }
}
