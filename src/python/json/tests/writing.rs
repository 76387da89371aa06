use proptest::prelude::*;
use pyo3::IntoPyObject as _;
use pyo3::types::{PyAnyMethods as _, PyFloat, PyList, PyString};

use super::{evaluated, with_python, written, written_by_simplejson};

fn compare(source: &str) {
    with_python(|py| {
        // Each writer gets a value of its own: some change as they are written.
        let expected = written_by_simplejson(&evaluated(py, source));
        assert_eq!(written(&evaluated(py, source)), expected, "{source}");
    });
}

/// Expressions whose values simplejson knows, or refuses for a reason that is ours too.
const KNOWN: &[&str] = &[
    "None",
    "True",
    "False",
    "0",
    "-1",
    "2**63",
    "-2**63",
    "-2**63-1",
    "10**30",
    "10**4299",
    "10**5000",
    "Int(5)",
    "Level.HIGH",
    "0.0",
    "-0.0",
    "1.0",
    "1e16",
    "1e15",
    "123456789012345680.0",
    "1e22",
    "1e-4",
    "1e-5",
    "-1.25e-5",
    "9.999999999999999e-05",
    "1e-7",
    "5e-324",
    "1.7976931348623157e308",
    "0.1",
    "1/3",
    "100.0",
    "float('nan')",
    "float('inf')",
    "-float('inf')",
    "Float(1.5)",
    "numpy.float64(2.5)",
    "numpy.float64('nan')",
    "numpy.float64(1e-5)",
    "''",
    "'abc'",
    "'\"\\\\/\\b\\f\\n\\r\\t\\x00\\x1f\\x7f\\x80\\xff'",
    "'\\ud800'",
    "'\\udfff\\ud800'",
    "'\\ud800\\udc00'",
    "'\\u0100\"\\n~\\x7f'",
    "'\\U0001f600\\U0010ffff\\\\a'",
    "'a' * 100 + '\\n'",
    "Text('abc')",
    "Name.FIRST",
    "numpy.str_('n')",
    "b''",
    "b'ab\\xc3\\xa9\\x7f'",
    "b'\\xff'",
    "b'ok\\xc3'",
    "numpy.bytes_(b'n')",
    "[]",
    "()",
    "{}",
    "[[]]",
    "[{}, ()]",
    "(1, 'a', None)",
    "List([1])",
    "List()",
    "Tuple([1])",
    "Tuple()",
    "Point(1, [2])",
    "[Point(1, 2)]",
    "Dict()",
    "Dict(a=1)",
    "ListPairs(a=1)",
    "LongPairs(a=1)",
    "NoItems(a=1)",
    "EmptyLooking(a=1)",
    "ordered()",
    "collections.Counter('aab')",
    "collections.defaultdict(list, a=[1])",
    "ListOfFields()",
    "[ListOfFields([1])]",
    "Fields({'a': 1})",
    "Fields([])",
    "Fields(ValueError('no'))",
    "Fields(TypeError('no'))",
    "Fields(Dict(a=1))",
    "FieldsWithArgument()",
    "FieldsProperty()",
    "FieldsValue()",
    "Pretender()",
    "decimal.Decimal('1.10')",
    "decimal.Decimal('-1E+5')",
    "decimal.Decimal('NaN')",
    "decimal.Decimal('-Infinity')",
    "Decimal('1')",
    "{1: 2, 2.5: 3, True: 4, None: 5, False: 6, 'a': 7, -0.0: 1}",
    "{float('nan'): 1, float('inf'): 2, 1e16: 3, 1e-5: 4}",
    "{10**30: 1}",
    "{10**5000: 1}",
    "{b'k\\xc3\\xa9': 1}",
    "{b'\\xff': 1}",
    "{Text('k\\u00e9'): 1}",
    "{Int(4): 1}",
    "{Float(4): 1}",
    "{Level.HIGH: 1, Name.FIRST: 2}",
    "{decimal.Decimal('1.10'): 1}",
    "{1: 1, '1': 2}",
    "{(1, 2): 3}",
    "{frozenset(): 3}",
    "{'a': {(1,): 2}}",
    "{object: 1}",
    "{1j: 1}",
    "{numpy.float64(1.5): 1, numpy.str_('s'): 2}",
    "1j",
    "object",
    "len",
    "Ellipsis",
    "bytearray(b'1')",
    "[1j]",
    "{'a': object}",
    "numpy.complex128(1j)",
    "collections.ChainMap()",
    "collections.UserDict()",
    "json",
    "lambda: 1",
    "circular(list)",
    "circular(dict)",
    "circular_tuple()",
    "[[1]] * 3",
    "nested(900)",
    "nested(900, tuple)",
    "nested(100_000)",
    "nested(100_000, dict)",
    "nested(100_000, tuple)",
    "mutated_list(list.clear)",
    "mutated_list(lambda v: v.extend(range(9)))",
    "mutated_list(lambda v: v.__delitem__(slice(2, 40)))",
    "mutated_dict(dict.clear)",
    "mutated_dict(lambda v: v.update(z=1))",
    "mutated_dict(lambda v: v.pop('a'))",
    "mutated_dict(lambda v: v.update(a=[1]))",
];

#[test]
fn what_simplejson_knows_is_written_as_it_writes_it() {
    for source in KNOWN {
        compare(source);
    }
}

#[test]
fn what_simplejson_knows_is_the_same_inside_containers() {
    for source in KNOWN.iter().filter(|source| !source.starts_with("nested")) {
        compare(&format!("[1, {source}]"));
        compare(&format!("(None, {source}, 'b')"));
        compare(&format!("{{'a': {source}, 'b': 1}}"));
    }
}

#[test]
fn floats_near_powers_are_written_as_python_does() {
    with_python(|py| {
        let mut floats = Vec::new();
        for exponent in -1074..1024 {
            let power =
                if exponent < -1022 { f64::from_bits(1 << (exponent + 1074)) } else { 2_f64.powi(exponent) };
            floats.extend([power, power.next_up(), power.next_down(), -power]);
        }
        for exponent in -323..309 {
            let power = format!("1e{exponent}").parse::<f64>().unwrap();
            floats.extend([power, power.next_up(), power.next_down(), 9.5 * power, 1.2345 * power]);
        }
        let list = PyList::new(py, floats).unwrap();
        assert_eq!(written(&list), written_by_simplejson(&list));
    });
}

#[test]
fn every_character_is_written_as_simplejson_does() {
    with_python(|py| {
        for width in ["chr(n)", "chr(n) + '\\u0100'", "chr(n) + '\\U00010000'"] {
            let list = evaluated(
                py,
                &format!(
                    "[{width} for n in [*range(0x300), *range(0xd7f0, 0xe010), 0xfffe, 0xffff, 0x10000, 0x10ffff]]"
                ),
            );
            assert_eq!(written(&list), written_by_simplejson(&list));
        }
    });
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => any::<f64>().prop_map(|number| format!("struct.unpack('<d', bytes.fromhex('{:016x}'))[0]", number.to_bits().swap_bytes())),
        2 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<i64>().prop_map(|number| format!("{number} ** 3")),
        2 => "[ -!#-&(-\\[\\]-~]{0,30}".prop_map(|text| format!("'{text}'")),
        2 => prop::collection::vec(prop_oneof![0_u32..0x80, 0_u32..0x100, 0_u32..0x11_0000], 0..12)
            .prop_map(|characters| format!("''.join(map(chr, {characters:?}))")),
        3 => prop::sample::select(KNOWN).prop_filter("not deep", |source| !source.starts_with("nested")).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..6).prop_map(|items| items.join(", "));
        let pairs = prop::collection::vec(("[a-d]|[0-9]", inner), 0..5).prop_map(|pairs| {
            pairs.iter().map(|(key, value)| format!("'{key}': {value}, ")).collect::<String>()
        });
        prop_oneof![
            items.clone().prop_map(|items| format!("[{items}]")),
            items.prop_map(|items| format!("tuple([{items}])")),
            pairs.clone().prop_map(|pairs| format!("{{{pairs}}}")),
            pairs.prop_map(|pairs| format!("collections.OrderedDict({{{pairs}}})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values(source in value()) {
        compare(&source);
    }

    #[test]
    fn floats(bits in prop::collection::vec(any::<u64>(), 100)) {
        with_python(|py| {
            let list = PyList::new(py, bits.iter().map(|&bits| f64::from_bits(bits))).unwrap();
            assert_eq!(written(&list), written_by_simplejson(&list));
            // What was written is read as the same number.
            let text = written(&list);
            let back = super::super::parse(py, text.as_bytes()).unwrap();
            for (index, &bits) in bits.iter().enumerate().filter(|&(_, &bits)| f64::from_bits(bits).is_finite()) {
                let number = back.get_item(index).unwrap();
                assert_eq!(number.cast_exact::<PyFloat>().unwrap().extract::<f64>().unwrap().to_bits(), bits);
            }
        });
    }

    #[test]
    fn texts(text in any::<String>()) {
        with_python(|py| {
            let text: pyo3::Bound<'_, PyString> = text.into_pyobject(py).unwrap();
            assert_eq!(written(&text), written_by_simplejson(&text));
            let text_written = written(&text);
            assert!(super::super::parse(py, text_written.as_bytes()).unwrap().eq(&text).unwrap());
        });
    }
}
