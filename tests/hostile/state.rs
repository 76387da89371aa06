//! What a script changes in its process is gone for the next one: a question is answered the same
//! before and after. One worker only, so that both scripts meet in it if it is kept.

use serde_json::json;

use crate::arena::{Arena, ONE, USUAL, rows};

/// Name, what the first script does, what the second asks. The first may fail; the second may not.
pub type Mess = (&'static str, &'static str, &'static str);

pub const BUILTINS: &[Mess] = &[
    ("builtins.len", "import builtins\nbuiltins.len = lambda x: 42", "return len([1])"),
    ("builtins.len gone", "import builtins\ndel builtins.len", "return len([1])"),
    (
        "builtins.__import__",
        "import builtins\nbuiltins.__import__ = None",
        "import colorsys\nreturn colorsys.__name__",
    ),
    (
        "builtins.__build_class__",
        "import builtins\nbuiltins.__build_class__ = None",
        "class A: x = 1\nreturn A.x",
    ),
    (
        "builtins.compile",
        "import builtins\nbuiltins.compile = builtins.exec = builtins.eval = None",
        "return eval('1 + 1')",
    ),
    ("builtins.print", "import builtins\nbuiltins.print = None", "print('x')\nreturn 1"),
    (
        "a new builtin",
        "import builtins\nbuiltins.mine = 5",
        "import builtins\nreturn hasattr(builtins, 'mine')",
    ),
    ("all builtins", "import builtins\nvars(builtins).clear()", "return sorted([2, 1])"),
    (
        "exceptions",
        "import builtins\nbuiltins.Exception = builtins.BaseException = builtins.TypeError = int",
        "try: 1 / 0\nexcept Exception as e: return type(e).__name__",
    ),
    (
        "a type's attribute",
        "import gc\ngc.get_referents(int.__dict__)[0]['mine'] = 5",
        "return hasattr(1, 'mine')",
    ),
    (
        "mock.patch",
        "from unittest import mock\nmock.patch('builtins.sum', lambda x: 42).start()",
        "return sum([1, 2])",
    ),
    (
        "csv.field_size_limit",
        "import csv\ncsv.field_size_limit(10)",
        "import csv\nreturn csv.field_size_limit()",
    ),
    (
        "an accessor of pandas",
        "import pandas as pd\npd.api.extensions.register_dataframe_accessor('mine')(lambda frame: 5)",
        "import pandas as pd\nreturn hasattr(pd.DataFrame, 'mine')",
    ),
    (
        "isinstance by ABCs",
        "import collections.abc\ncollections.abc.Mapping.register(list)\ncollections.abc.Mapping.register(str)",
        "import collections.abc\nreturn [[1], 'a', isinstance([], collections.abc.Mapping)]",
    ),
];

pub const MODULES: &[Mess] = &[
    (
        "json.dumps",
        "import json\njson.dumps = lambda *a, **k: 'spoilt'",
        "import json\nreturn json.dumps([1])",
    ),
    (
        "json.loads",
        "import json\njson.loads = json.JSONDecoder = json.decoder = None",
        "import json\nreturn json.loads('[1]')",
    ),
    (
        "json.JSONEncoder.default",
        "import json\njson.JSONEncoder.default = lambda *a: 'spoilt'",
        "import json\ntry: return json.dumps(object)\nexcept TypeError: return 'right'",
    ),
    ("numpy.mean", "import numpy\nnumpy.mean = None", "import numpy\nreturn float(numpy.mean([1, 3]))"),
    (
        "numpy.ndarray",
        "import numpy\nnumpy.ndarray = numpy.generic = numpy.float64 = int",
        "import numpy\nreturn numpy.array([1.5, 2]) * numpy.float64(2)",
    ),
    (
        "a submodule of numpy",
        "import numpy.linalg\nnumpy.linalg.norm = numpy.random.rand = None",
        "import numpy\nreturn [float(numpy.linalg.norm([3, 4])), len(numpy.random.rand(2))]",
    ),
    ("numpy.seterr", "import numpy\nnumpy.seterr(all='raise')", "import numpy\nreturn numpy.geterr()"),
    (
        "numpy.set_printoptions",
        "import numpy\nnumpy.set_printoptions(precision=1)",
        "import numpy\nreturn str(numpy.array([1.23456]))",
    ),
    (
        "pandas.DataFrame",
        "import pandas\npandas.DataFrame = pandas.Series = None",
        "return pd.DataFrame({'a': [1]})",
    ),
    (
        "a method of pandas.DataFrame",
        "import pandas\npandas.DataFrame.sum = lambda *a: 42",
        "return int(pd.DataFrame({'a': [1]}).sum()['a'])",
    ),
    (
        "pandas.options",
        "import pandas\npandas.set_option('display.max_rows', 3)\npandas.options.mode.chained_assignment = 'raise'",
        "return [pandas.get_option('display.max_rows'), pandas.get_option('mode.chained_assignment')]",
    ),
    ("math.pi", "import math\nmath.pi = 3", "import math\nreturn math.pi"),
    (
        "a module that was not loaded",
        "import colorsys\ncolorsys.mine = 5",
        "import colorsys\nreturn hasattr(colorsys, 'mine')",
    ),
    (
        "a module's own list",
        "import keyword\nkeyword.kwlist.append('mine')",
        "import keyword\nreturn 'mine' in keyword.kwlist",
    ),
    (
        "a dictionary deep in a module",
        "import json\njson.decoder.BACKSLASH['n'] = 'spoilt'\nimport re\nre._cache.clear() if hasattr(re, '_cache') else None\nimport html.entities\nhtml.entities.html5['amp;'] = 'spoilt'",
        "import html\nreturn html.unescape('&amp;')",
    ),
    ("a module taken away", "import sys\nsys.modules['json'] = None", "import json\nreturn json.dumps(1)"),
    (
        "another in its place",
        "import sys, types\nsys.modules['numpy'] = types.ModuleType('numpy')",
        "import numpy\nreturn int(numpy.sum([1, 2]))",
    ),
    (
        "all modules",
        "import sys\nsys.modules.clear()",
        "import numpy, json, os\nreturn int(numpy.sum([1, 2]))",
    ),
    (
        "os.path.exists",
        "import os\nos.path.exists = os.open = os.listdir = None",
        "import os\nreturn os.path.exists('/')",
    ),
    (
        "subprocess.Popen",
        "import subprocess\nsubprocess.Popen = None",
        "import subprocess\nreturn subprocess.run(['true']).returncode",
    ),
    ("requests.get", "import requests\nrequests.get = None", "return callable(requests.get)"),
    (
        "socket.setdefaulttimeout",
        "import socket\nsocket.setdefaulttimeout(0.001)",
        "import socket\nreturn socket.getdefaulttimeout()",
    ),
    (
        "tempfile.tempdir",
        "import tempfile\ntempfile.tempdir = '/nowhere'",
        "import tempfile\nreturn len(tempfile.NamedTemporaryFile().name) > 0",
    ),
    (
        "logging",
        "import logging\nlogging.disable(50)\nlogging.basicConfig(level=10)\nlogging.getLogger().addHandler(logging.NullHandler())",
        "import logging\nr = logging.getLogger()\nreturn [r.level, len(r.handlers), r.manager.disable]",
    ),
    (
        "datetime",
        "import datetime\ndatetime.datetime = datetime.timedelta = None",
        "import datetime\nreturn [str(datetime.datetime(2024, 1, 1)), timedelta(days=1).days]",
    ),
    ("re", "import re\nre.compile = re.match = None", "import re\nreturn bool(re.match('a', 'a'))"),
    (
        "the first day of the week",
        "import calendar\ncalendar.setfirstweekday(6)",
        "import calendar\nreturn calendar.firstweekday()",
    ),
    (
        "the first day of the week by itself",
        "from calendar import setfirstweekday\nsetfirstweekday(6)",
        "import calendar\nreturn calendar.firstweekday()",
    ),
    ("pandas.set_eng_float_format", "pd.set_eng_float_format(accuracy=1)", "return str(pd.Series([1234.5]))"),
    (
        "typing of enums and decimals",
        "import decimal, enum, uuid\ndecimal.Decimal = enum.Enum = uuid.UUID = None",
        "import decimal\nreturn decimal.Decimal('1.10')",
    ),
    (
        "traceback and linecache",
        "import traceback, linecache\ntraceback.format_exception = linecache.getline = linecache.checkcache = None",
        "import traceback\nreturn callable(traceback.format_exception)",
    ),
    (
        "contextvars",
        "import contextvars, json\njson.v = contextvars.ContextVar('v')\njson.v.set(1)",
        "import contextvars\nreturn len(contextvars.copy_context())",
    ),
];

pub const NAMES: &[Mess] = &[
    ("a global", "global counter\ncounter = 1", "return 'counter' in globals()"),
    ("globals()", "globals()['counter'] = 1", "return 'counter' in globals()"),
    ("globals cleared", "globals().clear()", "return json.dumps([1])"),
    ("__builtins__ of the globals", "globals()['__builtins__'] = {'len': None}", "return len([1])"),
    ("a name that needs no import", "global pd, json\npd = json = 5", "return [pd.__name__, json.__name__]"),
    (
        "frames above",
        "import sys\nf = sys._getframe()\nwhile f:\n    f.f_globals['mine'] = 5\n    f = f.f_back",
        "return 'mine' in globals()",
    ),
    (
        "the tabpy object",
        "tabpy.query = None\ntabpy.mine = 5",
        "return [callable(tabpy.query), hasattr(tabpy, 'mine')]",
    ),
    (
        "its class",
        "type(tabpy).query = None\ntype(tabpy).mine = 5",
        "return [callable(tabpy.query), hasattr(tabpy, 'mine')]",
    ),
    (
        "its own code's constants",
        "import sys\nc = sys._getframe().f_code\nimport ctypes\nreturn 1",
        "return [1, 2, 'a']",
    ),
    (
        "a default argument",
        "def f(x=[]):\n    x.append(1)\n    return x\nreturn f()",
        "def f(x=[]):\n    x.append(1)\n    return x\nreturn f()",
    ),
    ("an argument", "_arg1 = [5]", "try: return _arg1\nexcept NameError: return 'none'"),
];

pub const INTERPRETER: &[Mess] = &[
    (
        "sys.stdout none",
        "import sys\nsys.stdout = sys.stderr = None",
        "print('x')\nimport sys\nprint('y', file=sys.stderr)\nreturn 1",
    ),
    (
        "sys.stdout closed",
        "import sys\nsys.stdout.close()\nsys.stderr.close()",
        "print('x', flush=True)\nreturn 1",
    ),
    (
        "sys.stdout that raises",
        "import sys\nclass S:\n    def write(self, *a): raise SystemExit\n    flush = write\nsys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = S()",
        "print('x')\nreturn 1",
    ),
    ("sys.stdin", "import sys\nsys.stdin = None", "import sys\nreturn sys.stdin is None"),
    ("sys.path", "import sys\nsys.path.clear()", "import sys\nreturn len(sys.path)"),
    (
        "sys.path with a trap",
        "import sys\nsys.path.insert(0, '/nowhere')",
        "import sys\nreturn '/nowhere' in sys.path",
    ),
    (
        "sys.meta_path",
        "import sys\nsys.meta_path.clear()\nsys.path_hooks.clear()\nsys.path_importer_cache.clear()",
        "import sys\nreturn [len(sys.meta_path), len(sys.path_hooks)]",
    ),
    (
        "sys.argv",
        "import sys\nsys.argv = ['mine']\nsys.executable = 'mine'\nsys.prefix = 'mine'",
        "import sys\nreturn [sys.argv, sys.executable, sys.prefix]",
    ),
    (
        "sys.excepthook",
        "import sys\nsys.excepthook = sys.unraisablehook = sys.displayhook = lambda *a: 1 / 0",
        "import sys\nreturn [sys.excepthook is sys.__excepthook__, sys.unraisablehook is sys.__unraisablehook__]",
    ),
    (
        "recursion limit low",
        "import sys\nsys.setrecursionlimit(60)",
        "import sys\nreturn sys.getrecursionlimit()",
    ),
    (
        "recursion limit high",
        "import sys\nsys.setrecursionlimit(10 ** 9)",
        "import sys\nreturn sys.getrecursionlimit()",
    ),
    (
        "switch interval",
        "import sys\nsys.setswitchinterval(1000)",
        "import sys\nreturn sys.getswitchinterval()",
    ),
    (
        "digits of ints",
        "import sys\nsys.set_int_max_str_digits(0)",
        "import sys\nreturn sys.get_int_max_str_digits()",
    ),
    ("settrace", "import sys\nsys.settrace(lambda *a: 1 / 0)", "import sys\nreturn sys.gettrace() is None"),
    (
        "setprofile",
        "import sys\nsys.setprofile(lambda *a: 1 / 0)",
        "import sys\nreturn sys.getprofile() is None",
    ),
    (
        "threading.settrace",
        "import threading\nthreading.settrace(lambda *a: 1 / 0)\nthreading.setprofile(lambda *a: 1 / 0)\nthreading.stack_size(65536)\nthreading.excepthook = None",
        "import threading\nreturn [threading.gettrace() is None, threading.getprofile() is None, threading.stack_size()]",
    ),
    ("gc.disable", "import gc\ngc.disable()", "import gc\nreturn gc.isenabled()"),
    (
        "gc.set_threshold",
        "import gc\ngc.set_threshold(1, 1, 1)\ngc.set_debug(gc.DEBUG_SAVEALL)",
        "import gc\nreturn [gc.get_threshold(), gc.get_debug()]",
    ),
    (
        "a time zone that is put back unread",
        "import os, time\nos.environ['TZ'] = 'XYZ-9'\ntime.tzset()\ndel os.environ['TZ']",
        "import time\nreturn [time.tzname, time.timezone, time.localtime(0).tm_hour]",
    ),
    (
        "a closed event loop",
        "import asyncio\nasyncio.set_event_loop(asyncio.new_event_loop())\nasyncio.get_event_loop().close()",
        "import asyncio\ntry: return asyncio.get_event_loop().is_closed()\nexcept RuntimeError: return 'none'",
    ),
    (
        "gc.freeze",
        "import gc\njunk = [[] for _ in range(300000)]\ngc.freeze()",
        "import gc\nreturn gc.get_freeze_count() > 300000",
    ),
    ("gc.unfreeze", "import gc\ngc.unfreeze()\ngc.collect()", "return int(pd.Series([1, 2]).sum())"),
    (
        "gc.callbacks",
        "import gc\ngc.callbacks.append(lambda *a: 1 / 0)",
        "import gc\nreturn len(gc.callbacks)",
    ),
    (
        "warnings as errors",
        "import warnings\nwarnings.simplefilter('error')",
        "import warnings\nwarnings.warn('x')\nreturn 1",
    ),
    (
        "warnings.filters",
        "import warnings\nwarnings.filters.clear()\nwarnings.showwarning = None",
        "import warnings\nreturn [len(warnings.filters), callable(warnings.showwarning)]",
    ),
    (
        "decimal context",
        "import decimal\ndecimal.getcontext().prec = 3",
        "import decimal\nreturn str(decimal.Decimal(1) / 3)",
    ),
    (
        "decimal default context",
        "import decimal\ndecimal.DefaultContext.prec = 3\ndecimal.setcontext(decimal.DefaultContext)",
        "import decimal\nreturn [decimal.getcontext().prec, decimal.DefaultContext.prec]",
    ),
    (
        "locale",
        "import locale\nlocale.setlocale(locale.LC_ALL, 'C')",
        "import locale\nreturn locale.setlocale(locale.LC_ALL)",
    ),
    (
        "locale to UTF-8",
        "import locale\nlocale.setlocale(locale.LC_ALL, 'C.UTF-8')",
        "import locale\nreturn locale.setlocale(locale.LC_ALL)",
    ),
    (
        "codecs",
        "import codecs\ncodecs.register(lambda name: 1 / 0)\ncodecs.register_error('strict', lambda e: ('', e.end))",
        "try: 'ä'.encode('ascii')\nexcept UnicodeEncodeError: return 'right'",
    ),
    (
        "asyncio",
        "import asyncio\nasyncio.set_event_loop(asyncio.new_event_loop())\nasyncio.set_event_loop_policy(None)",
        "import asyncio\nasync def f(): return 1\nreturn asyncio.run(f())",
    ),
    (
        "float's way of rounding",
        "import ctypes\nctypes.CDLL('libm.so.6').fesetround(0x800)",
        "return [0.1 + 0.2, 1 / 3 * 3, 2 / 3]",
    ),
    (
        "copyreg",
        "import copyreg\ncopyreg.dispatch_table.clear()\ncopyreg.pickle(list, None) if False else None\ncopyreg.dispatch_table[complex] = 5",
        "import copyreg\nreturn copyreg.dispatch_table.get(complex) == 5",
    ),
];

pub const PROCESS: &[Mess] = &[
    ("os.environ", "import os\nos.environ['MINE'] = '1'", "import os\nreturn 'MINE' in os.environ"),
    (
        "os.putenv",
        "import os\nos.putenv('MINE', '1')",
        "import subprocess\nreturn 'MINE' in subprocess.run(['env'], capture_output=True, text=True).stdout",
    ),
    (
        "environment cleared",
        "import os\nos.environ.clear()",
        "import os\nreturn sorted(k for k in os.environ if k in ('PATH', 'LC_CTYPE'))",
    ),
    (
        "TZ",
        "import os, time\nos.environ['TZ'] = 'Asia/Tokyo'\ntime.tzset()",
        "import time\nreturn time.localtime(0).tm_hour",
    ),
    ("os.chdir", "import os\nos.chdir('/usr')", "import os\nreturn os.getcwd() == '/usr'"),
    (
        "a working folder that is gone",
        "import os, tempfile\nd = tempfile.mkdtemp()\nos.chdir(d)\nos.rmdir(d)",
        "import os\nreturn len(os.getcwd()) > 0",
    ),
    ("os.chroot", "import os\nos.chroot('/usr')", "import os\nreturn os.path.isdir('/usr')"),
    ("os.umask", "import os\nos.umask(0o777)", "import os\nold = os.umask(0)\nos.umask(old)\nreturn old"),
    ("os.nice", "import os\nos.nice(10)", "import os\nreturn os.nice(0)"),
    (
        "scheduling",
        "import os\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))",
        "import os\nreturn os.sched_getscheduler(0)",
    ),
    (
        "processors",
        "import os\nos.sched_setaffinity(0, {0})",
        "import os\nreturn len(os.sched_getaffinity(0))",
    ),
    (
        "limit of files",
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))",
        "import resource\nreturn resource.getrlimit(resource.RLIMIT_NOFILE)",
    ),
    (
        "limit of file sizes",
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))",
        "import resource\nreturn resource.getrlimit(resource.RLIMIT_FSIZE)",
    ),
    (
        "limit of address space",
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1, 1))",
        "import resource\nreturn resource.getrlimit(resource.RLIMIT_AS)",
    ),
    (
        "limit of data",
        "import resource\nresource.setrlimit(resource.RLIMIT_DATA, (10 ** 6, 10 ** 6))",
        "import resource\nreturn [resource.getrlimit(resource.RLIMIT_DATA)[1] == 10 ** 6, len('x' * 10 ** 7)]",
    ),
    (
        "limit of processor time",
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (100, 100))",
        "import resource\nreturn resource.getrlimit(resource.RLIMIT_CPU)",
    ),
    (
        "limit of processes",
        "import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (0, 0))",
        "import resource, subprocess\nreturn [resource.getrlimit(resource.RLIMIT_NPROC), subprocess.run(['true']).returncode]",
    ),
    (
        "limit of the stack",
        "import resource\nresource.setrlimit(resource.RLIMIT_STACK, (65536, 65536))",
        "import resource\nreturn resource.getrlimit(resource.RLIMIT_STACK)",
    ),
    (
        "SIGCHLD",
        "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "import signal, subprocess\nreturn [subprocess.run(['false']).returncode, int(signal.getsignal(signal.SIGCHLD))]",
    ),
    (
        "SIGPIPE and SIGTERM",
        "import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\nsignal.signal(signal.SIGTERM, lambda *a: None)\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "import signal\nreturn [str(signal.getsignal(s)) for s in (signal.SIGPIPE, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]",
    ),
    (
        "SIGSEGV",
        "import faulthandler, signal\nfaulthandler.enable()\nsignal.signal(signal.SIGSEGV, lambda *a: None)",
        "import signal\nreturn str(signal.getsignal(signal.SIGSEGV))",
    ),
    (
        "signals blocked",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))",
        "import signal\nreturn sorted(int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, []))",
    ),
    (
        "wakeup descriptor",
        "import os, signal\nr, w = os.pipe()\nos.set_blocking(w, False)\nsignal.set_wakeup_fd(w)",
        "import signal\nreturn signal.set_wakeup_fd(-1)",
    ),
    (
        "open files",
        "import json\njson.kept = [open('/dev/null') for _ in range(40)]",
        "import os\nreturn len(os.listdir('/proc/self/fd')) < 40",
    ),
    (
        "a lock on a module's import",
        "import _imp\n_imp.acquire_lock()",
        "import colorsys\nreturn colorsys.__name__",
    ),
    (
        "a seccomp filter",
        "import ctypes\nctypes.CDLL(None).prctl(38, 1, 0, 0, 0)\nctypes.CDLL(None).prctl(22, 1, 0, 0, 0)",
        "return open('/dev/null').read()",
    ),
    (
        "malloc's settings",
        "import ctypes\nctypes.CDLL(None).mallopt(-3, 0)\nctypes.pythonapi.PyMem_SetupDebugHooks()",
        "return len([[] for _ in range(1000)])",
    ),
];

fn unchanged(messes: &[Mess]) {
    rows(
        messes.iter().map(|mess| (mess.0, mess)),
        || Arena::start(ONE, |builder| builder),
        |arena, mess| {
            let (name, script, question) = *mess;
            let before = arena.value(question);
            for _ in 0..2 {
                let answer = arena.evaluate(script, json!({}));
                assert!([200, 408, 500].contains(&answer.status), "{}", answer.text());
                if answer.status != 200 {
                    answer.error(answer.status);
                }
                let after = arena.evaluate(question, json!({}));
                assert_eq!(
                    (after.status, after.text()),
                    (200, before.clone()),
                    "it is changed for the next script"
                );
            }
            arena.holds(name, &arena.marker());
        },
    );
}

#[test]
fn poisoned_builtins() {
    unchanged(BUILTINS);
}

#[test]
fn poisoned_modules() {
    unchanged(MODULES);
}

#[test]
fn leaked_names() {
    unchanged(NAMES);
}

#[test]
fn the_interpreters_settings() {
    unchanged(INTERPRETER);
}

#[test]
fn the_processs_settings() {
    unchanged(PROCESS);
}

/// pyplot draws on the figure that was made last.
#[test]
fn figures_that_are_left_open() {
    let arena = Arena::start(ONE, |builder| builder);
    let pyplot = "import os, sys\nos.mkdir('matplotlib')\nsys.path.insert(0, os.getcwd())\n\
        open('matplotlib/__init__.py', 'w').close()\n\
        with open('matplotlib/_pylab_helpers.py', 'w') as file: file.write('''\n\
class Gcf:\n    figs = {}\n    @classmethod\n    def destroy_all(cls): cls.figs.clear()\n''')\n\
        with open('matplotlib/pyplot.py', 'w') as file: file.write('''\n\
from ._pylab_helpers import Gcf\ndef plot(): Gcf.figs[1] = 1\n''')\n";
    let figures = "from matplotlib import pyplot\nfrom matplotlib._pylab_helpers import Gcf\n";
    let made = format!("{pyplot}{figures}pyplot.plot()\nreturn [os.getpid(), len(Gcf.figs)]");
    let look = format!("import os\n{figures}return [os.getpid(), len(Gcf.figs)]");
    // On a slow disk a worker ends with the files that the script has left in its folder, and the module with it.
    let same_worker = (0..20).find_map(|_| {
        let made = arena.evaluate(&made, json!({})).json();
        assert_eq!(made[1], 1, "{made}");
        let left = arena.evaluate(&look, json!({})).json();
        (left[0] == made[0]).then(|| left[1].clone())
    });
    assert_eq!(same_worker, Some(json!(0)));
}

/// What is named like a setter belongs to the script's own objects more often than not.
#[test]
fn setters_of_own_objects_keep_their_worker() {
    let arena = Arena::start(ONE, |builder| builder);
    let process = "import os\nreturn os.getpid()";
    let before = arena.value(process);
    for script in [
        "return len(pd.DataFrame({'a': [1]}).set_index('a'))",
        "df = pd.DataFrame({'a': [1]})\ndf = df.set_index('a')\nreturn len(df)",
        "import calendar\nc = calendar.Calendar()\nc.setfirstweekday(6)\nreturn c.firstweekday",
        "import threading\ne = threading.Event()\ne.set()\nreturn e.is_set()",
        "import random\nstate = random.getstate()\nimport numpy\nnumpy.random.set_state(numpy.random.get_state())\nreturn 1",
        "import asyncio\nloop = asyncio.new_event_loop()\nasyncio.set_event_loop(loop)\nloop.close()\nreturn 1",
        "def set_x(d): d['x'] = 1\nd = {}\nset_x(d)\nreturn [d, list(set([1]))]",
    ] {
        assert_eq!(arena.evaluate(script, json!({})).status, 200, "{script}");
        assert_eq!(arena.value(process), before, "{script}");
    }
}

/// Many scripts that poison their process one after the other cost nobody else anything.
#[test]
fn a_thousand_quick_calls_between_messes() {
    let arena = Arena::start(USUAL, |builder| builder);
    let mut connection = arena.connect();
    for (number, mess) in BUILTINS.iter().chain(NAMES).chain(MODULES).enumerate() {
        arena.evaluate(mess.1, json!({}));
        for value in 0..20 {
            let request = arena.request("return [len(_arg1), sum(_arg1)]", json!({"_arg1": [number, value]}));
            connection.send(&request).is(200, &format!("[2, {}]", number + value));
        }
    }
    arena.holds("1,000 quick calls", &arena.marker());
}
