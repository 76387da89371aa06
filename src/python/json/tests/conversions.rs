use pyo3::types::PyAnyMethods as _;

use super::{evaluated, with_python, written, written_by_simplejson};

/// Python expressions and what is written of their values.
fn table(rows: &[(&str, &str)]) {
    with_python(|py| {
        for (source, expected) in rows {
            assert_eq!(written(&evaluated(py, source)), *expected, "{source}");
        }
    });
}

#[test]
fn python_values_that_simplejson_refuses() {
    table(&[
        ("{5}", "[5]"),
        ("frozenset(['a'])", r#"["a"]"#),
        ("set()", "[]"),
        ("range(3)", "[0, 1, 2]"),
        ("(n * 0.5 for n in range(3))", "[0.0, 0.5, 1.0]"),
        ("map(str, [1, 2])", r#"["1", "2"]"#),
        ("filter(None, [0, 1])", "[1]"),
        ("zip([1], 'a')", r#"[[1, "a"]]"#),
        ("enumerate('a')", r#"[[0, "a"]]"#),
        ("reversed([1, 2])", "[2, 1]"),
        ("iter({})", "[]"),
        ("{1: 2}.keys()", "[1]"),
        ("{1: 2}.values()", "[2]"),
        ("{1: 2}.items()", "[[1, 2]]"),
        ("collections.OrderedDict(a=1).values()", "[1]"),
        ("collections.deque([1, 2])", "[1, 2]"),
        ("array.array('d', [1.5])", "[1.5]"),
        ("datetime.date(2024, 2, 29)", r#""2024-02-29""#),
        ("datetime.datetime(2024, 1, 2, 3, 4, 5)", r#""2024-01-02T03:04:05""#),
        ("datetime.datetime(2024, 1, 2, 3, 4, 5, 6)", r#""2024-01-02T03:04:05.000006""#),
        ("datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc)", r#""2024-01-02T00:00:00+00:00""#),
        ("datetime.time(1, 2)", r#""01:02:00""#),
        ("datetime.timedelta(days=1, seconds=3661, microseconds=500000)", r#""P1DT1H1M1.5S""#),
        ("datetime.timedelta(seconds=-1)", r#""P-1DT23H59M59S""#),
        ("uuid.UUID(int=1)", r#""00000000-0000-0000-0000-000000000001""#),
        ("pathlib.PurePosixPath('/a/b')", r#""/a/b""#),
        ("Colour.RED", r#""red""#),
        ("[Colour.DEEP]", "[[1, [2.5, null]]]"),
        ("{Colour.RED: 1}", r#"{"red": 1}"#),
        ("{datetime.date(2024, 2, 29): 1}", r#"{"2024-02-29": 1}"#),
        ("{uuid.UUID(int=0): 1}", r#"{"00000000-0000-0000-0000-000000000000": 1}"#),
        ("Ouroboros.SELF", "ValueError: Circular reference detected"),
        ("{Ouroboros.SELF: 1}", "TypeError: keys must be str, int, float, bool or None, not Ouroboros"),
        ("Date(2024, 1, 1)", "TypeError: 'Date' object is not an instance of 'str'"),
        ("Failing(2024, 1, 1)", "RuntimeError: no text today"),
        ("failing_generator()", "LookupError: after one"),
        ("circular_generator()", "ValueError: Circular reference detected"),
        ("[{1j}]", "TypeError: Object of type complex is not JSON serializable"),
        ("iter([object()])", "TypeError: Object of type object is not JSON serializable"),
    ]);
}

#[test]
fn numpy_arrays_of_every_kind() {
    table(&[
        ("numpy.array([1.5, numpy.nan, -numpy.inf, 1e16, 1e-5])", "[1.5, null, null, 1e+16, 1e-05]"),
        ("numpy.array([0.1], 'f4')", "[0.10000000149011612]"),
        (
            "numpy.array([1.5, 65504, 6e-8, -0.0, numpy.nan, numpy.inf], 'f2')",
            "[1.5, 65504.0, 5.960464477539063e-08, -0.0, null, null]",
        ),
        ("numpy.array([1.5], 'g')", "[1.5]"),
        ("numpy.array([True, False])", "[true, false]"),
        ("numpy.array([-128, 127], 'i1')", "[-128, 127]"),
        ("numpy.array([-32768, 32767], 'i2')", "[-32768, 32767]"),
        ("numpy.array([-2**31, 2**31-1], 'i4')", "[-2147483648, 2147483647]"),
        ("numpy.array([-2**63, 2**63-1], 'i8')", "[-9223372036854775808, 9223372036854775807]"),
        ("numpy.array([255], 'u1')", "[255]"),
        ("numpy.array([65535], 'u2')", "[65535]"),
        ("numpy.array([2**32-1], 'u4')", "[4294967295]"),
        ("numpy.array([2**64-1], 'u8')", "[18446744073709551615]"),
        ("numpy.array([1.5, 2], '>f8')", "[1.5, 2.0]"),
        ("numpy.array([258], '>i4')", "[258]"),
        ("numpy.arange(6).reshape(2, 3)", "[[0, 1, 2], [3, 4, 5]]"),
        ("numpy.arange(6).reshape(2, 3).T", "[[0, 3], [1, 4], [2, 5]]"),
        (
            "numpy.arange(8.0).reshape(2, 2, 2)[::-1, ::-1]",
            "[[[6.0, 7.0], [4.0, 5.0]], [[2.0, 3.0], [0.0, 1.0]]]",
        ),
        ("numpy.arange(9)[::-3]", "[8, 5, 2]"),
        ("numpy.broadcast_to(7, (2, 2))", "[[7, 7], [7, 7]]"),
        ("numpy.array(5)", "5"),
        ("numpy.array('x')", r#""x""#),
        ("numpy.array([])", "[]"),
        ("numpy.empty((2, 0))", "[[], []]"),
        ("numpy.empty((0, 2))", "[]"),
        ("numpy.array(['a', 'é'])", r#"["a", "\u00e9"]"#),
        ("numpy.array([b'a'])", r#"["a"]"#),
        ("numpy.array([1, 'a', None, 2.5, numpy.float32(0.5)], dtype=object)", r#"[1, "a", null, 2.5, 0.5]"#),
        ("numpy.array([(1, 2.5)], 'i4,f8')", "[[1, 2.5]]"),
        ("numpy.ma.array([1, 2], mask=[0, 1])", "[1, null]"),
        ("numpy.ma.masked", "null"),
        ("numpy.matrix([[1, 2]])", "[[1, 2]]"),
        ("numpy.array([1j])", "TypeError: Object of type complex is not JSON serializable"),
        ("circular_array()", "ValueError: Circular reference detected"),
        ("[mutated_array(lambda v: v.resize(1, refcheck=False))][0][:4]", "[null, null, null, {}]"),
    ]);
}

#[test]
fn numpy_dates() {
    table(&[
        (
            "numpy.array(['2024-02-29', 'NaT', '0001-01-01', '1969-12-31'], 'M8[D]')",
            r#"["2024-02-29", null, "0001-01-01", "1969-12-31"]"#,
        ),
        ("numpy.array(['2024-02', '1969-11'], 'M8[M]')", r#"["2024-02-01", "1969-11-01"]"#),
        ("numpy.array(['2024', '1900'], 'M8[Y]')", r#"["2024-01-01", "1900-01-01"]"#),
        ("numpy.array(['2024-02-29'], 'M8[W]')", r#"["2024-02-29"]"#),
        ("numpy.array(['2024-02-29T12'], 'M8[h]')", r#"["2024-02-29T12:00:00"]"#),
        ("numpy.array(['2024-02-29T12:34'], 'M8[m]')", r#"["2024-02-29T12:34:00"]"#),
        ("numpy.array(['1969-12-31T23:59:59'], 'M8[s]')", r#"["1969-12-31T23:59:59"]"#),
        ("numpy.array(['1969-12-31T23:59:59.5'], 'M8[ms]')", r#"["1969-12-31T23:59:59.500000"]"#),
        (
            "numpy.array(['2024-02-29T00:00:00.000001001', '2024-02-29T01:02:03.25'], 'M8[ns]')",
            r#"["2024-02-29T00:00:00.000001001", "2024-02-29T01:02:03.250000"]"#,
        ),
        ("numpy.array([50], 'M8[25s]')", r#"["1970-01-01T00:20:50"]"#),
        ("numpy.array([1], '>M8[D]')", r#"["1970-01-02"]"#),
        (
            "numpy.array([2**62], 'M8[Y]')",
            "ValueError: A date or duration of the array lies too far from 1970 to be written",
        ),
        ("numpy.array([90061, -1, 'NaT'], 'm8[s]')", r#"["P1DT1H1M1S", "P-1DT23H59M59S", null]"#),
        ("numpy.array([2], 'm8[D]')", r#"["P2DT0H0M0S"]"#),
        ("numpy.array([2], 'm8[Y]')", r#"["P2Y"]"#),
        ("numpy.array([1500000001], 'm8[ns]')", r#"["P0DT0H0M1.500000001S"]"#),
        ("numpy.datetime64('2024-02-29T01:02:03', 'ns')", r#""2024-02-29T01:02:03""#),
        ("[numpy.datetime64('NaT'), numpy.timedelta64(1, 'h')]", r#"[null, "P0DT1H0M0S"]"#),
        (
            "{numpy.datetime64('2024-02-29'): 1, numpy.datetime64('NaT'): 2}",
            r#"{"2024-02-29": 1, "null": 2}"#,
        ),
    ]);
}

#[test]
fn dates_are_what_pandas_would_write() {
    with_python(|py| {
        let values = evaluated(
            py,
            "[pandas.Series(numpy.random.default_rng(7).integers(-2**62, 2**62, 2000).astype('M8[ns]')),
              pandas.Series(numpy.random.default_rng(7).integers(-62135596800, 253402300799, 2000).astype('M8[s]'))]",
        );
        let texts =
            evaluated(py, "lambda values: [[item.isoformat() for item in value] for value in values]")
                .call1((&values,))
                .unwrap();
        assert_eq!(written(&values), written_by_simplejson(&texts));
        let values = evaluated(
            py,
            "pandas.Series(numpy.random.default_rng(7).integers(-2**62, 2**62, 2000).astype('m8[ns]'))",
        );
        let texts =
            evaluated(py, "lambda values: [item.isoformat() for item in values]").call1((&values,)).unwrap();
        assert_eq!(written(&values), written_by_simplejson(&texts));
    });
}

#[test]
fn numpy_scalars() {
    table(&[
        ("numpy.int64(5)", "5"),
        ("numpy.uint64(2**64-1)", "18446744073709551615"),
        ("numpy.bool_(True)", "true"),
        ("numpy.float32(0.1)", "0.10000000149011612"),
        ("numpy.float16('nan')", "null"),
        ("numpy.longdouble(1.5)", "1.5"),
        ("numpy.void(b'ab')", r#""ab""#),
        ("numpy.array([(1, 2.5)], 'i4,f8')[0]", "[1, 2.5]"),
        ("numpy.complex64(1j)", "TypeError: Object of type complex64 is not JSON serializable"),
        ("numpy.clongdouble(1j)", "TypeError: Object of type clongdouble is not JSON serializable"),
        (
            "numpy.array([1j], 'clongdouble')",
            "TypeError: Object of type clongdouble is not JSON serializable",
        ),
        (
            "{numpy.int64(5): numpy.int8(1), numpy.bool_(True): 2, numpy.float32(0.5): 3}",
            r#"{"5": 1, "true": 2, "0.5": 3}"#,
        ),
        ("{numpy.complex64(1j): 1}", "TypeError: Object of type complex64 is not JSON serializable"),
    ]);
}

#[test]
fn pandas_columns() {
    table(&[
        ("pandas.Series([1.5, None])", "[1.5, null]"),
        ("pandas.Series([1, 2], index=['b', 'a'])", "[1, 2]"),
        ("pandas.Series([], dtype='float64')", "[]"),
        ("pandas.Series(['a', None, 'é'])", r#"["a", null, "\u00e9"]"#),
        ("pandas.Series(['a', None], dtype='string')", r#"["a", null]"#),
        ("pandas.Series(['a', None], dtype=object)", r#"["a", null]"#),
        ("pandas.Series([1, None, -3], dtype='Int64')", "[1, null, -3]"),
        ("pandas.Series([1, None], dtype='UInt8')", "[1, null]"),
        ("pandas.Series([1.5, None], dtype='Float64')", "[1.5, null]"),
        ("pandas.Series([0.1, None], dtype='Float32')", "[0.10000000149011612, null]"),
        ("pandas.Series([True, None], dtype='boolean')", "[true, null]"),
        ("pandas.Series([1, 2, None], dtype='category')", "[1, 2, null]"),
        ("pandas.Series(['b', None, 'a', 'b'], dtype='category')", r#"["b", null, "a", "b"]"#),
        ("pandas.Categorical([3, None, 1])", "[3, null, 1]"),
        ("pandas.Series(['2024-02-29', None], dtype='datetime64[ns]')", r#"["2024-02-29T00:00:00", null]"#),
        (
            "pandas.to_datetime(pandas.Series(['2024-02-29', None])).dt.tz_localize('UTC')",
            r#"["2024-02-29T00:00:00+00:00", null]"#,
        ),
        ("pandas.to_datetime(pandas.Series(['2024-02-29'])).dt.date", r#"["2024-02-29"]"#),
        ("pandas.Series(pandas.to_timedelta(['1 day', None]))", r#"["P1DT0H0M0S", null]"#),
        ("pandas.period_range('2024-01', periods=2, freq='M')", r#"["2024-01", "2024-02"]"#),
        ("pandas.cut([1, 2, 3], [0, 2, 4])", r#"["(0, 2]", "(0, 2]", "(2, 4]"]"#),
        ("pandas.arrays.SparseArray([0, 0, 1])", "[0, 0, 1]"),
        ("pandas.Index([1, 2])", "[1, 2]"),
        ("pandas.RangeIndex(3)", "[0, 1, 2]"),
        ("pandas.DatetimeIndex(['2024-02-29'])", r#"["2024-02-29T00:00:00"]"#),
        ("pandas.MultiIndex.from_tuples([(1, 'a')])", r#"[[1, "a"]]"#),
        ("pandas.array([1, None])", "[1, null]"),
        ("pandas.array([1.5], dtype='float64')", "[1.5]"),
        ("pandas.Timestamp('2024-02-29T01:02:03.000000004')", r#""2024-02-29T01:02:03.000000004""#),
        ("pandas.Timestamp('2024-02-29', tz='Europe/Vienna')", r#""2024-02-29T00:00:00+01:00""#),
        ("pandas.Timedelta('1 day 1.5s')", r#""P1DT0H0M1.5S""#),
        ("[pandas.NaT, pandas.NA]", "[null, null]"),
        ("pandas.Period('2024-01')", r#""2024-01""#),
        (
            "{pandas.Timestamp('2024-02-29'): pandas.NaT, pandas.NaT: 1}",
            r#"{"2024-02-29T00:00:00": null, "null": 1}"#,
        ),
        ("{pandas.Interval(0, 1): 2}", r#"{"(0, 1]": 2}"#),
        ("pandas.Series([1, 2]).sum()", "3"),
        ("pandas.Series([[1], {'a': (2,)}])", r#"[[1], {"a": [2]}]"#),
    ]);
}

#[test]
fn pandas_frames() {
    table(&[
        (
            "pandas.DataFrame({'a': [1, 2], 'b': [1.5, None], 'c': ['x', None]})",
            r#"{"a": [1, 2], "b": [1.5, null], "c": ["x", null]}"#,
        ),
        ("pandas.DataFrame()", "{}"),
        ("pandas.DataFrame({'a': []})", r#"{"a": []}"#),
        ("pandas.DataFrame([[1, 2]], columns=['a', 'a'])", r#"{"a": [2]}"#),
        ("pandas.DataFrame([[1, 2]])", r#"{"0": [1], "1": [2]}"#),
        ("[pandas.DataFrame({'a': [True]}, index=[9])]", r#"[{"a": [true]}]"#),
        (
            "pandas.DataFrame({'a': [1]}, index=['to_dict']).rename(columns={'a': '_asdict'})",
            r#"{"_asdict": [1]}"#,
        ),
        (
            "pandas.DataFrame({('a', 1): [1]})",
            "TypeError: keys must be str, int, float, bool or None, not tuple",
        ),
    ]);
    with_python(|py| {
        let frame = evaluated(py, "pandas.DataFrame(numpy.arange(12.0).reshape(4, 3), columns=list('abc'))");
        let lists = frame.call_method1("to_dict", ("list",)).unwrap();
        assert_eq!(written(&frame), written_by_simplejson(&lists));
    });
}
