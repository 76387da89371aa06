//! TabPy's client against the server: the stock one from outside, ours from scripts within.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Request, Server};

/// Runs a script where the stock client is installed; `client` is signed in if need be.
fn run_stock(server: &Server, script: &str) -> Output {
    let file = tempfile::Builder::new().suffix(".py").tempfile().unwrap();
    let begin = "import sys, json\nfrom tabpy.tabpy_tools.client import Client\naddress = sys.argv[1]\n";
    std::fs::write(file.path(), format!("{begin}{script}")).unwrap();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-tabpy/bin/python");
    Command::new(python).arg(file.path()).arg(format!("http://{}/", server.host())).output().unwrap()
}

/// The last line that the script prints, as JSON.
#[track_caller]
fn stock(server: &Server, script: &str) -> Value {
    let output = run_stock(server, script);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(printed.lines().last().unwrap()).unwrap()
}

#[test]
fn the_stock_client_does_all_that_it_does_with_tabpy() {
    let server = Server::builder().env("TABPY_WORKERS", 1).start().ready();
    let printed = stock(
        &server,
        r#"
from tabpy.tabpy_tools.schema import generate_schema
from sklearn.linear_model import LinearRegression
client = Client(address)
model = LinearRegression().fit([[0], [1]], [1, 3])
def add(x, y):
    "Adds."
    return x + y
def predict(xs):
    return [round(p) for p in model.predict([[x] for x in xs])]
client.deploy("add", add, "sum", schema=generate_schema({"x": 1, "y": 2}, 3))
client.deploy("a lambda", lambda x: -x)
client.deploy("predict", predict, is_public=True)
answers = [client.query("add", 1, 2)["response"], client.query("add", x=1, y=5)["response"], client.query("a lambda", 4)["response"],
           client.query("predict", [2, 3])["response"]]
try:
    client.deploy("add", add)
except RuntimeError as error:
    answers.append("already exists" in str(error))
client.deploy("add", lambda x, y: x * y, "product", override=True)
answer = client.query("add", 3, 4)
answers.append([answer["response"], answer["version"], answer["model"]])
client.update_endpoint_info("add", description="told", is_public=True)
endpoints = client.get_endpoints()
answers.append([endpoints["add"].description, endpoints["add"].is_public, endpoints["add"].version, endpoints["predict"].is_public])
answers.append(client.query("add", 3, 4)["response"])
answers.append({name: [about["status"], about["version"]] for name, about in client.get_status().items()})
client.remove("a lambda")
answers.append(sorted(client.get_endpoints()))
print(json.dumps(answers))
"#,
    );
    let expected = json!([
        3, 6, -4, [5, 7], true, [12, 2, "add"], ["told", true, 2, true], 12,
        {"add": ["LoadSuccessful", 2], "a lambda": ["LoadSuccessful", 1], "predict": ["LoadSuccessful", 1]},
        ["add", "predict"],
    ]);
    assert_eq!(printed, expected);
    assert_eq!(server.value("return tabpy.query('predict', [4])['response']"), "[9]");
    let bad = run_stock(
        &server,
        "import types, pickle\nclass Bad:\n    def __reduce__(self): return (exec, ('raise ValueError(\"no\")',))\nbad = Bad()\n\
        Client(address).deploy('bad', lambda: bad)",
    );
    let told = String::from_utf8_lossy(&bad.stderr);
    assert!(!bad.status.success() && told.contains("ValueError : no"), "{told}");
}

/// The client prints the script that it sends, and the server runs it in its only worker.
#[test]
fn a_remote_client_deploys_through_the_only_worker_and_its_password_stays_its_own() {
    let server = Server::builder()
        .env("TABPY_WORKERS", 1)
        .env("TABPY_MAX_WORKERS", 1)
        .env("TABPY_USERNAME", "user")
        .env("TABPY_PASSWORD", "pa:ss-w0rd")
        .env("TABPY_LOG_LEVEL", "trace")
        .env("TABPY_LOG_DETAILS", "true")
        .start();
    let printed = stock(
        &server,
        r#"
client = Client(address, remote_server=True)
client.set_credentials("user", "pa:ss-w0rd")
def hypotenuse(a, b):
    "The longest side."
    import math
    return math.sqrt(a * a + b * b)
first = client.deploy("hypotenuse", hypotenuse, "sides", override=True, schema={"a": None})
second = client.deploy("hypotenuse", hypotenuse, "sides", is_public=True)
third = client.deploy("hypotenuse", hypotenuse, "sides", override=True, is_public=True)
about = client.get_endpoints()["hypotenuse"]
print(json.dumps([first, second, third, client.query("hypotenuse", 3, 4)["response"], about.version, about.is_public]))
"#,
    );
    assert!(printed[0].as_str().unwrap().starts_with("200 - "), "{printed}");
    assert!(printed[1].as_str().unwrap().contains("already exists"), "{printed}");
    assert_eq!((&printed[3], &printed[4], &printed[5]), (&json!(5.0), &json!(2), &json!(true)));
    for broken in ["'pa:ss-w0rd", "'pa:ss-w0rd', 1", "'pa:ss-w0rd') + (1"] {
        let script = format!(
            "from tabpy.tabpy_tools.client import Client\nclient = Client('http://localhost:1/')\nclient.set_credentials('user', {broken})"
        );
        let answer = server.send(&Request::evaluate(&script, &json!({})).login("user", "pa:ss-w0rd"));
        assert_eq!(answer.status, 500);
        assert!(!answer.text().contains("w0rd"), "{}", answer.text());
    }
    assert!(
        !server.log().contains("w0rd") && !server.log().contains("dXNlcjpwYTpzcy13MHJk"),
        "{}",
        server.log()
    );
    assert!(!printed.to_string().contains("w0rd"), "{printed}");
}

#[test]
fn scripts_deploy_and_manage_functions() {
    let server = Server::builder().env("TABPY_WORKERS", 1).env("TABPY_MAX_WORKERS", 1).start().ready();
    let address = format!("http://{}/", server.host());
    let run = |script: &str| {
        let script = format!("from tabpy.tabpy_tools.client import Client\nclient = Client(_arg1)\n{script}");
        let answer = server.evaluate(&script, json!({"_arg1": address}));
        (answer.status, answer.text())
    };
    let deploy = "def add(x, y):\n    'Adds.'\n    return x + y\n\
        from sklearn.linear_model import LinearRegression\nmodel = LinearRegression().fit([[0], [1]], [1, 3])\n\
        client.deploy('add', add, 'described', schema={'\u{e9}': 1}, is_public=True)\n\
        client.deploy('lam bda', lambda x: -x)\n\
        client.deploy('model', lambda x: round(model.predict([[x]])[0]))\n\
        return sorted(client.get_endpoints())";
    assert_eq!(run(deploy), (200, "[\"add\", \"lam bda\", \"model\"]".to_owned()));
    let about = &server.get("/endpoints").json()["add"];
    assert_eq!(
        (&about["description"], &about["schema"], &about["is_public"], &about["docstring"]),
        (&json!("described"), &json!({"\u{e9}": 1}), &json!(true), &json!("Adds."))
    );
    let call = "return [tabpy.query('add', 1, 2)['response'], tabpy.query('lam bda', 5)['response'], tabpy.query('model', 2)['response']]";
    assert_eq!(run(call), (200, "[3, -5, 5]".to_owned()));
    let refused = run("client.deploy('add', lambda: 1)").1;
    assert!(
        refused.contains(
            "RuntimeError : An endpoint with that name (add) already exists. Use \\\"override = True\\\""
        ),
        "{refused}"
    );
    let again = "client.deploy('add', lambda x, y: x * y, override=True)\nreturn client.get_endpoints()['add'].version";
    assert_eq!(run(again), (200, "2".to_owned()));
    assert_eq!(run("return tabpy.query('add', 3, 4)['response']").1, "12");
    assert_eq!(
        run("client.alias('plus', 'add')\nreturn client.get_endpoints('alias')['plus'].target").1,
        "\"add\""
    );
    assert_eq!(
        run("return [tabpy.query('plus', 3, 4)['model'], sorted(client.get_models())]").1,
        "[\"add\", [\"add\", \"lam bda\", \"model\"]]"
    );
    let update = "client.update_endpoint_info('add', description='new', is_public=False)\nabout = client.get_endpoints()['add']\n\
                  return [about.description, about.is_public, about.version]";
    assert_eq!(run(update).1, "[\"new\", false, 2]");
    assert_eq!(run("client.remove('model')\nreturn [sorted(client.get_endpoints()), client.get_status()['add']['status']]").1,
        "[[\"add\", \"lam bda\", \"plus\"], \"LoadSuccessful\"]");
    for (script, told) in [
        ("client.remove('gone')", "ResponseError : (404) endpoint gone does not exist. {}"),
        ("client.update_endpoint_info('gone')", "RuntimeError : No endpoint with that name (gone) exists"),
        ("client.deploy('a/b', lambda: 1)", "ValueError : endpoint name a/b can only contain"),
        ("client.query('add', 1, y=2)", "ValueError : A query takes positional arguments or named ones"),
        ("Client('localhost:9004')", "ValueError : 'localhost:9004' is no address of a server"),
        (
            "client.deploy('bad', 5)",
            "RuntimeError : LoadFailed: the archive holds a int, which cannot be called",
        ),
        (
            "import threading\nlock = threading.Lock()\nclient.deploy('bad', lambda: lock)",
            "TypeError : cannot pickle '_thread.lock' object",
        ),
    ] {
        let info = run(script).1;
        assert!(info.contains(told), "{script}: {info}");
    }
}
