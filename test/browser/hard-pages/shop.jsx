import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

/** A shop whose pages are all one document: the address changes, and nothing is loaded but data. */
function Shop() {
  const [path, setPath] = useState(location.pathname);
  const [cart, setCart] = useState([]);
  useEffect(() => {
    const follow = () => setPath(location.pathname);
    addEventListener("popstate", follow);
    return () => removeEventListener("popstate", follow);
  }, []);
  const go = (next) => {
    history.pushState(null, "", next);
    setPath(next);
  };
  const [, teaId] = /^\/shop\/tea\/(\d+)$/.exec(path) ?? [];
  return (
    <>
      <nav>
        <Link to="/shop" go={go}>
          Teas
        </Link>
        <Link to="/shop/cart" go={go}>
          Cart ({cart.length})
        </Link>
      </nav>
      {teaId !== undefined && <Tea key={teaId} id={teaId} onAdd={(name) => setCart([...cart, name])} />}
      {path === "/shop/cart" && <Cart names={cart} />}
      {path === "/shop" && <Teas go={go} />}
    </>
  );
}

function Link({ to, go, children }) {
  const onClick = (event) => {
    event.preventDefault();
    go(to);
  };
  return (
    <a href={to} onClick={onClick}>
      {children}
    </a>
  );
}

function useData(url) {
  const [data, setData] = useState();
  useEffect(() => {
    const left = new AbortController();
    fetch(url, { signal: left.signal })
      .then((response) => response.json())
      .then(setData)
      .catch(() => undefined);
    return () => left.abort();
  }, [url]);
  return data;
}

function Teas({ go }) {
  const teas = useData("/shop/data/teas");
  const [filter, setFilter] = useState("");
  useEffect(() => void (document.title = "Teas"), []);
  if (teas === undefined) return <p role="status">Loading teas…</p>;
  const shown = teas.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase()));
  return (
    <main>
      <h1>{shown.length} teas</h1>
      <input aria-label="Filter" value={filter} onChange={({ target }) => setFilter(target.value)} />
      <ul>
        {shown.map(({ id, name }) => (
          <li key={id}>
            <Link to={`/shop/tea/${id}`} go={go}>
              {name}
            </Link>
          </li>
        ))}
      </ul>
    </main>
  );
}

function Tea({ id, onAdd }) {
  const tea = useData(`/shop/data/tea/${id}`);
  useEffect(() => {
    if (tea !== undefined) document.title = tea.name;
  }, [tea]);
  if (tea === undefined) return <p role="status">Loading the tea…</p>;
  return (
    <main>
      <h1>{tea.name}</h1>
      <p>{tea.price} €</p>
      <button onClick={() => onAdd(tea.name)}>Add to cart</button>
    </main>
  );
}

/** Every field is controlled: React puts back whatever it was not told of. */
function Cart({ names }) {
  const [order, setOrder] = useState({ name: "", phone: "", delivery: "post", gift: false });
  const [answer, setAnswer] = useState();
  const set = (change) => setOrder({ ...order, ...change });
  useEffect(() => void (document.title = "Cart"), []);
  const send = async (event) => {
    event.preventDefault();
    setAnswer("Sending…");
    const response = await fetch("/shop/data/orders", { method: "POST", body: JSON.stringify({ ...order, names }) });
    setAnswer(await response.text());
  };
  const isReady = names.length > 0 && order.name !== "" && order.phone.length >= 5;
  return (
    <form onSubmit={send}>
      <p>In the cart: {names.join(", ") || "nothing"}</p>
      <input aria-label="Name" value={order.name} onChange={({ target }) => set({ name: target.value })} />
      <input
        aria-label="Phone"
        value={order.phone}
        onChange={({ target }) => set({ phone: target.value.replace(/\D/g, "") })}
      />
      <select aria-label="Delivery" value={order.delivery} onChange={({ target }) => set({ delivery: target.value })}>
        <option value="post">By post</option>
        <option value="bike">By bike</option>
      </select>
      <label>
        <input type="checkbox" checked={order.gift} onChange={({ target }) => set({ gift: target.checked })} /> As a
        gift
      </label>
      <button disabled={!isReady}>Order</button>
      {answer !== undefined && <p role="status">{answer}</p>}
    </form>
  );
}

createRoot(document.querySelector("#app")).render(<Shop />);
