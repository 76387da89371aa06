//! Deploying from scripts: by hand, and as TabPy's client has it done with `remote_server=True`.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::front::Front;

const CLIENT: &str = "from tabpy.tabpy_tools.client import Client\nclient = Client(_arg1)\n";

#[test]
fn scripts_deploy_what_the_stock_client_deploys() {
    let front = Front::start();
    let run = |script: &str| {
        let answer = front.evaluate(&format!("{CLIENT}{script}"), json!({"_arg1": front.address}));
        (answer.status, answer.text())
    };
    let deploy = "def add(x, y):\n    'Adds.'\n    return x + y\n\
        from sklearn.linear_model import LinearRegression\nmodel = LinearRegression().fit([[0], [1]], [1, 3])\n\
        client.deploy('add', add, 'described', schema={'\u{e9}': 1}, is_public=True)\n\
        client.deploy('lam bda', lambda x: -x)\n\
        client.deploy('model', lambda x: round(model.predict([[x]])[0]))\n\
        return sorted(client.get_endpoints())";
    assert_eq!(run(deploy), (200, "[\"add\", \"lam bda\", \"model\"]".to_owned()));
    let sent = &front.seen("PUT /functions/add?")[0];
    assert_eq!(sent.line, "PUT /functions/add?description=described&public=true HTTP/1.1");
    assert_eq!(sent.header("Content-Type"), Some("application/x-cloudpickle"));
    assert_eq!(sent.header("TabPy-Python"), Some("3.11"));
    assert_eq!(sent.header("TabPy-Schema"), Some("{\"\\u00e9\": 1}"));
    assert_eq!(front.seen("PUT /functions/lam%20bda?description=&public=false ").len(), 1);

    let call = "return [tabpy.query('add', 1, 2)['response'], tabpy.query('lam bda', 5)['response'], tabpy.query('model', 2)['response']]";
    assert_eq!(run(call), (200, "[3, -5, 5]".to_owned()));
    let refused = run("client.deploy('add', lambda: 1)").1;
    assert!(
        refused.contains(
            "RuntimeError : An endpoint with that name (add) already exists. Use \\\"override = True\\\""
        ),
        "{refused}"
    );
    let again = "client.deploy('add', lambda x, y: x * y, override=True)\nreturn [client.get_endpoints()['add'].version, \
                 tabpy.query('add', 3, 4)['version']]";
    // The script that deploys was begun with the functions that there were.
    assert_eq!(run(again), (200, "[2, 1]".to_owned()));
    assert_eq!(run("return tabpy.query('add', 3, 4)['response']").1, "12");

    assert_eq!(
        run("client.alias('plus', 'add')\nreturn client.get_endpoints('alias')['plus'].target").1,
        "\"add\""
    );
    assert_eq!(
        run("return [tabpy.query('plus', 3, 4)['model'], sorted(client.get_models())]").1,
        "[\"add\", [\"add\", \"lam bda\", \"model\"]]"
    );
    let update = "client.update_endpoint_info('add', description='new', is_public=False)\nreturn client.get_endpoints()['add'].description";
    assert_eq!(run(update).1, "\"new\"");
    let sent: serde_json::Value = serde_json::from_slice(&front.seen("PUT /endpoints/add")[0].body).unwrap();
    assert_eq!(sent["src_path"], "/state/staging/endpoints/add/2");
    assert_eq!(
        (&sent["should_update_version"], &sent["is_public"], &sent["name"]),
        (&json!(false), &json!(false), &json!("add"))
    );
    assert_eq!(
        run("client.remove('model')\nreturn [sorted(client.get_endpoints()), client.get_status()]").1,
        "[[\"add\", \"lam bda\", \"plus\"], {}]"
    );

    for (script, told) in [
        ("client.remove('gone')", "ResponseError : (404) endpoint gone does not exist. {}"),
        ("client.update_endpoint_info('gone')", "RuntimeError : No endpoint with that name (gone) exists"),
        ("client.deploy('a/b', lambda: 1)", "ValueError : endpoint name a/b can only contain"),
        ("client.query('add', 1, y=2)", "ValueError : A query takes positional arguments or named ones"),
        ("Client('localhost:9004')", "ValueError : 'localhost:9004' is no address of a server"),
        ("client.deploy('bad', 5)", "RuntimeError : LoadFailed: the archive holds"),
        (
            "import threading\nlock = threading.Lock()\nclient.deploy('bad', lambda: lock)",
            "TypeError : cannot pickle '_thread.lock' object",
        ),
    ] {
        let info = run(script).1;
        assert!(info.contains(told), "{script}: {info}");
    }
}

/// TabPy's client prints the script, and the server runs it in its only worker.
#[test]
fn the_stock_client_deploys_through_the_only_worker() {
    let front = Front::start();
    let script = r#"
import sys
from tabpy.tabpy_tools.client import Client
client = Client(sys.argv[1], remote_server=True)
client.set_credentials("user", "pa:ss word")
def hypotenuse(a, b):
    "The longest side."
    import math
    return math.sqrt(a * a + b * b)
client.deploy("hypotenuse", hypotenuse, "sides", override=True, schema={"a": None})
client.deploy("hypotenuse", hypotenuse, "sides", override=True, is_public=True)
print(client.query("hypotenuse", 3, 4)["response"], client.query("hypotenuse", b=5, a=12)["version"])
"#;
    let file = tempfile::Builder::new().suffix(".py").tempfile().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-tabpy/bin/python");
    let output = Command::new(python).arg(file.path()).arg(&front.address).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(printed.lines().last(), Some("5.0 2"), "{printed}");
    let sent = front.seen("PUT /functions/hypotenuse");
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].header("Authorization"), Some("Basic dXNlcjpwYTpzcyB3b3Jk"));
    assert_eq!(sent[0].header("TabPy-Schema"), Some("{\"a\": null}"));
    assert_eq!(front.evaluate("return tabpy.query('hypotenuse', 3, 4)['response']", json!({})).text(), "5.0");
}
