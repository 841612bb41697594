/** The stream of the first test, line by line. */
export const ALL_TYPES_TEXT: readonly string[] = [
  '1 Insert default a=1 @1-1 t1001',
  '2 MergeOperand default b++1 @2-4 t1002 meta origin',
  '3 PointTombstone other a @2-4 t1002 meta origin',
  '4 RangeTombstone default a..c @2-4 t1002 meta origin',
  '5 RangeTombstone default x.. @5-5 t1003',
]
